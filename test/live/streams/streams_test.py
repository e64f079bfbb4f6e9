#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-streams in its shortest form: that it measures what it says, not what comes out of it."""
import json
import subprocess
import sys
import unittest

BENCH = sys.argv[1]


def run(*flags):
    return subprocess.run([BENCH, *flags], capture_output=True, text=True, timeout=60)


class Streams(unittest.TestCase):
    def test_each_pattern_and_size_has_figures_of_both(self):
        done = run("--rounds", "2", "--window", "50ms", "--json", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["rounds"], report["window_ms"]), (2, 50))
        self.assertEqual({(row["pattern"], row["bytes"]) for row in report["rows"]},
                         {(pattern, size) for pattern in ("bidi ping-pong", "server flood", "client flood")
                          for size in (16, 1024, 65536)})
        for row in report["rows"]:
            for side in ("millrace", "grpc"):
                self.assertGreater(row[f"{side}_messages"], 0)
                self.assertAlmostEqual(row[f"{side}_mb"], row[f"{side}_messages"] * row["bytes"] / 1e6)
            self.assertLessEqual(row["least_ratio"], row["ratio"])
            self.assertLessEqual(row["ratio"], row["most_ratio"])
        self.assertIn("| bidi ping-pong | 16 B |", done.stderr)
        self.assertIn("2 rounds of 50 ms", done.stderr)

    def test_a_value_that_makes_no_sense_is_refused(self):
        for flags in (["--rounds", "0"], ["--window", "1ms"], ["--json", "/nowhere/x"], ["--frobnicate", "7"]):
            done = run(*flags)
            self.assertEqual((done.returncode, done.stdout), (2, ""), flags)
            self.assertIn(f"bench-streams: {flags[0]} '{flags[1]}': ", done.stderr)


if __name__ == "__main__":
    suite = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    bad = len(suite.failures) + len(suite.errors)
    print(f"{suite.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
