#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-traffic in its short form: that it measures what it says, not what comes out of it."""
import json
import subprocess
import sys
import unittest

BENCH, BUILD = sys.argv[1:3]


def run(*flags):
    command = [BENCH, "--build", BUILD, "--timeout", "20s", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


class Traffic(unittest.TestCase):
    def measured(self, what, *flags):
        done = run("--quick", "--rate", "500", "--json", "-", *flags)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = json.loads(done.stdout)[what]
        for row in rows:
            self.assertEqual((row["failed"], row["by_status"]), (0, {}), done.stderr)
            self.assertGreater(row["calls"], 100)
            self.assertLessEqual(row["p50_us"], row["p99_us"])
        return rows

    def test_each_policy_has_a_row(self):
        rows = {row["policy"]: row for row in self.measured("policies")}
        self.assertLessEqual({"round_robin", "least_request", "peak_ewma", "pick_first", "ring_hash", "maglev"}, set(rows))
        self.assertAlmostEqual(rows["round_robin"]["slow_share"], 1 / 3, delta=0.05)
        self.assertEqual(rows["pick_first"]["slow_share"], 0)
        for policy, row in rows.items():
            self.assertEqual(row["connections_opened"], 1 if policy == "pick_first" else 3)

    def test_only_the_policies_asked_for_are_measured(self):
        self.assertEqual([row["policy"] for row in self.measured("policies", "--policies", "maglev")], ["maglev"])

    def test_aging_connections_are_replaced(self):
        [row] = self.measured("aging", "--aging")
        self.assertGreater(row["connections_opened"], 1)

    def test_every_server_is_restarted_by_either_signal(self):
        rows = {row["signal"]: row for row in self.measured("restart", "--restart")}
        self.assertEqual(set(rows), {"SIGTERM", "SIGKILL"})
        for row in rows.values():
            self.assertGreater(row["connections_opened"], 3)

    def test_hedges_shorten_the_tail_for_little_extra_load(self):
        rows = {row["hedge"]: row for row in self.measured("hedge", "--hedge")}
        self.assertEqual(set(rows), {"never", "after 10ms", "after p95"})
        self.assertEqual((rows["never"]["hedges"], rows["never"]["extra_load"]), (0, 0))
        self.assertGreater(rows["never"]["p999_us"], 100_000)
        for row in (rows["after 10ms"], rows["after p95"]):
            self.assertGreater(row["hedges"], 0)
            self.assertAlmostEqual(row["extra_load"], row["hedges"] / row["calls"], delta=0.002)
            # the policy's max_extra_load, and one hedge a second for ten seconds
            self.assertLessEqual(row["hedges"], row["calls"] * 0.1 + 10)

    def test_an_outage_sends_no_more_than_the_budget_allows(self):
        rows = {row["outage"]: row for row in self.outage()}
        self.assertEqual(set(rows), {"killed", "UNAVAILABLE"})
        for row in rows.values():
            self.assertGreater(row["failed"], 500)
            self.assertEqual(list(row["by_status"]), ["UNAVAILABLE"])
            self.assertEqual(row["sent"], row["attempts"] + row["health_questions"])
            self.assertLessEqual(row["sent"], row["bound"])
            self.assertLessEqual(row["reached"], row["attempts"])
        # nobody was there, so nothing was sent there
        self.assertLess(rows["killed"]["amplification"], 1)
        self.assertGreater(rows["killed"]["dials"], 3)
        failing = rows["UNAVAILABLE"]
        self.assertEqual(failing["failed"], failing["calls"])
        self.assertGreater(failing["reached"], failing["calls"])
        self.assertGreater(failing["budget_denied"], 100)

    def outage(self):
        done = run("--quick", "--rate", "500", "--json", "-", "--outage")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)["outage"]

    def test_a_flag_that_makes_no_sense_is_refused(self):
        for flags, reason in ((["--policies", "best"], "--policies 'best': allowed are round_robin, "),
                              (["--policies", "maglev", "--aging"], "--policies 'maglev': allowed without"),
                              (["--policies", "maglev", "--outage"], "--policies 'maglev': allowed without"),
                              (["--build", "/nowhere"], "--build '/nowhere': "),
                              (["--json", "/nowhere/x"], "--json '/nowhere/x': allowed is a file"),
                              (["--rate", "0"], "--rate '0': allowed are numbers from")):
            done = run(*flags)
            self.assertEqual((done.returncode, done.stdout), (2, ""), flags)
            self.assertIn(reason, done.stderr)


class Aging(unittest.TestCase):
    """In its full length, because ages below a second are not learned."""

    def test_connections_are_replaced_before_a_server_ends_them_and_no_call_fails(self):
        done = run("--aging", "--rate", "100", "--json", "-")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        [row] = json.loads(done.stdout)["aging"]
        self.assertEqual((row["failed"], row["seconds"], row["max_connection_age"]), (0, 60, "2s"))
        self.assertGreater(row["calls"], 5900)
        # the first three ends teach the age; of those after them one in sixteen is let live, to see whether it still holds
        self.assertGreater(row["replaced"], 10)


if __name__ == "__main__":
    suite = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False, verbosity=2).result
    bad = len(suite.failures) + len(suite.errors)
    print(f"{suite.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
