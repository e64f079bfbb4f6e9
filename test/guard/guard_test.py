# SPDX-License-Identifier: Apache-2.0
"""What bench-guard says of its counts. Argument: the folder of bench-guard."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
FOLDER = pathlib.Path(sys.argv.pop(1))
loader = importlib.machinery.SourceFileLoader("guard", str(FOLDER / "bench-guard"))
guard = importlib.util.module_from_spec(importlib.util.spec_from_loader("guard", loader))
loader.exec_module(guard)
Function, Profile = guard.callgrind.Function, guard.callgrind.Profile


def profile(**costs):
    own = {Function("engine", name): cost for name, cost in costs.items()}
    return Profile(sum(costs.values()), own, own)


def baseline(**figures):
    return {"versions": {}, "figures": {name: {"instructions": instructions, "allocations": allocations,
                                               "functions": {"engine: step": instructions, "engine: rest": 10}}
                                        for name, (instructions, allocations) in figures.items()}}


def printed(function, *arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        returned = function(*arguments)
    return returned, out.getvalue()


class Verdict(unittest.TestCase):
    def test_three_per_cent_are_allowed_either_way(self):
        self.assertEqual([guard.verdict(now, 1000, 0) for now in (1031, 1030, 1000, 970, 969)],
                         ["RISEN", "same", "same", "same", "fallen"])

    def test_what_is_too_little_to_matter_does_not(self):
        self.assertEqual([guard.verdict(now, 0, 0.02) for now in (0.02, 0.03)], ["same", "RISEN"])


class Compare(unittest.TestCase):
    def test_the_same_is_fine(self):
        fine, said = printed(guard.compare, {"engine": (profile(step=1029), 0)}, baseline(engine=(1000, 0)))
        self.assertTrue(fine)
        self.assertIn("+2.9%", said)
        self.assertNotIn("RISEN", said)

    def test_more_instructions_are_not_and_what_grew_is_named(self):
        fine, said = printed(guard.compare, {"engine": (profile(step=900, walk=200), 0)}, baseline(engine=(1000, 0)))
        self.assertFalse(fine)
        self.assertIn("+10.0%", said)
        self.assertIn("RISEN", said)
        self.assertIn("+190.0  to    200.0  engine: walk", said)

    def test_an_allocation_is_not(self):
        fine, said = printed(guard.compare, {"engine": (profile(step=1000), 1)}, baseline(engine=(1000, 0)))
        self.assertFalse(fine)
        self.assertIn("RISEN", said)

    def test_one_that_fell_does_not_make_up_for_one_that_rose(self):
        found = {"engine": (profile(step=1200), 0), "engine-coro": (profile(step=500), 0)}
        before = baseline(**{"engine": (1000, 0), "engine-coro": (1000, 0)})
        self.assertFalse(printed(guard.compare, found, before)[0])

    def test_what_fell_is_to_be_kept(self):
        fine, said = printed(guard.compare, {"engine": (profile(step=900), 0)}, baseline(engine=(1000, 0)))
        self.assertTrue(fine)
        self.assertIn("--accept keeps it so", said)

    def test_a_usual_figure_without_a_baseline_is_not_fine_and_another_is(self):
        self.assertFalse(printed(guard.compare, {"attempt": (profile(step=1), 0)}, baseline())[0])
        self.assertTrue(printed(guard.compare, {"millrace-transparent-core": (profile(step=1), 0)}, baseline())[0])

    def test_differences_are_of_the_figures_that_were_counted(self):
        found = {"millrace": (profile(step=48000), 0), "attempt": (profile(step=45500), 0)}
        said = printed(guard.print_differences, found)[1]
        self.assertEqual(said, "what the engine adds to its attempts: 2500 (millrace - attempt), goal 3000\n")


class Growth(unittest.TestCase):
    def test_most_grown_first_and_what_is_gone(self):
        before = {"engine: step": 100, "engine: walk": 50, "engine: rest": 20}
        said = printed(guard.print_growth, profile(step=110, walk=90, jump=60), before)[1].splitlines()[1:]
        self.assertEqual([line.split()[0] for line in said], ["+40.0", "+40.0", "+10.0", "-20.0"])
        self.assertIn("jump  (not in the baseline)", "\n".join(said))
        self.assertIn("rest  (no longer among the first", said[-1])


class Versions(unittest.TestCase):
    SAME = {"compiler": "g++ 12", "optimised": "true"}

    def test_the_same_can_be_compared(self):
        guard.check_versions(self.SAME, {"versions": self.SAME})

    def test_others_cannot(self):
        for differing in ({"compiler": "g++ 13"}, {"optimised": "false"}):
            with self.assertRaises(guard.Skip):
                guard.check_versions(self.SAME | differing, {"versions": self.SAME})

    def test_a_skip_is_77_and_a_failure_where_the_guard_is_required(self):
        for value, status in (("", guard.SKIPPED), ("required", 1)):
            with mock.patch.dict(os.environ, BENCH_GUARD=value), mock.patch.object(sys, "argv", ["bench-guard"]), \
                    mock.patch.object(guard, "run", side_effect=guard.Skip("no valgrind")):
                returned, said = printed(guard.main)
                self.assertEqual(returned, status)
                self.assertIn("no valgrind", said)


class Accept(unittest.TestCase):
    def test_what_is_accepted_is_then_the_same(self):
        found = {name: (profile(step=1000 + 10 * at, walk=5), 0.5) for at, name in enumerate(guard.USUAL)}
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(guard, "HERE", pathlib.Path(directory)):
            printed(guard.accept, {"compiler": "g++ 12"}, found)
            read = guard.read_baseline()
        self.assertEqual(read["versions"], {"compiler": "g++ 12"})
        self.assertEqual(read["figures"]["engine"]["functions"], {"engine: step": 1000, "engine: walk": 5})
        self.assertTrue(printed(guard.compare, found, read)[0])

    def test_without_a_baseline_there_is_nothing_to_compare(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(guard, "HERE", pathlib.Path(directory)):
            with self.assertRaises(guard.Skip):
                guard.read_baseline()

    def test_the_committed_baseline_has_all_usual_figures(self):
        read = json.loads((FOLDER / "baseline.json").read_text())
        self.assertEqual(list(read["figures"]), guard.USUAL)


class Flags(unittest.TestCase):
    def test_all_usual_figures_unless_some_are_named(self):
        self.assertEqual(guard.parse([]).only, guard.USUAL)
        self.assertEqual(guard.parse(["--only", "core,engine"]).only, ["core", "engine"])

    def test_what_is_not_allowed_is_named(self):
        for flags in (["--only", "motor"], ["--only", "engine", "--accept"], ["--only", "engine", "--summary"]):
            with self.assertRaises(guard.Refusal):
                guard.parse(flags)

    def test_the_summary_is_named_after_the_version(self):
        self.assertRegex(guard.parse(["--summary"]).summary, r"^docs/profile/\d+\.\d+\.\d+\.md$")


if __name__ == "__main__":
    unittest.main()
