#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""millrace-load as its user has it: real processes, flags, exit status, report."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ECHO = os.environ["MILLRACE_ECHO"]
LOAD = os.environ["MILLRACE_LOAD"]


class Echo:
    def __init__(self, *flags, port=0):
        self.process = subprocess.Popen([ECHO, "--port", str(port), *flags], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def command(endpoints, *flags):
    where = ["--endpoints", ",".join(endpoints)] if endpoints else []
    return [LOAD, *where, "--method", "/demo.Echo/Say", "--json", "-", *flags]


def load(endpoints, *flags, timeout=30):
    done = subprocess.run(command(endpoints, *flags), capture_output=True, text=True, timeout=timeout)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class Running:
    """The tool while it runs, 30 s at most; killed when it is left."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen(command(*arguments, "--duration", "30s"), stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def says(self, *pieces):
        """Waits for a line of progress that has all of them."""
        for line in self._process.stderr:
            if all(piece in line for piece in pieces):
                return
        raise AssertionError(f"it ended without saying {pieces}")

    def end(self):
        """Its report, when it was interrupted."""
        self._process.send_signal(signal.SIGINT)
        return json.loads(self._process.communicate(timeout=20)[0])


def dead_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class LoadTool(unittest.TestCase):
    def test_closed_loop_makes_exactly_the_calls_it_was_asked_for(self):
        with Echo() as a, Echo() as b:
            status, report, table = load([a.address, b.address], "--calls", "5000", "--concurrency", "256")
        self.assertEqual(status, 0, table)
        self.assertEqual((report["calls"], report["ok"], report["failed"]), (5000, 5000, 0))
        self.assertEqual(sum(each["calls"] for each in report["endpoints"]), report["attempts"])
        self.assertEqual([each["address"] for each in report["endpoints"]], [a.address, b.address])
        for each in report["endpoints"]:
            self.assertAlmostEqual(each["calls"] / 5000, 0.5, delta=0.05)
            self.assertEqual((each["connections_opened"], each["connections_lost"]), (1, 0))
        latency = report["latency_us"]
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["max"] * 1.02)
        self.assertIn("5000", table)

    def test_open_loop_keeps_its_rate(self):
        with Echo() as a:
            status, report, _ = load([a.address], "--rate", "500", "--duration", "2s")
        self.assertEqual(status, 0)
        self.assertEqual(report["calls"], 1000)

    def test_open_loop_latency_counts_from_when_a_call_was_due(self):
        # the server stops for a while: calls that fell due meanwhile have waited, whenever they were sent
        with Echo() as a:
            run = subprocess.Popen(command([a.address], "--rate", "200", "--duration", "2s", "--timeout", "5s"),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            run_until(lambda: established(a.address), "the tool's connection")
            a.process.send_signal(signal.SIGSTOP)
            time.sleep(0.5)  # the stall itself, not a wait for something
            a.process.send_signal(signal.SIGCONT)
            report = json.loads(run.communicate(timeout=30)[0])
        self.assertEqual(report["failed"], 0)
        self.assertGreater(report["latency_us"]["p90"], 100_000)

    def test_failed_calls_are_counted_by_status_and_decide_the_exit_status(self):
        with Echo("--status", "NOT_FOUND") as a:
            status, report, _ = load([a.address], "--calls", "100")
            self.assertEqual(status, 1)
            self.assertEqual(report["by_status"], {"NOT_FOUND": 100})
            self.assertEqual(report["retries"], 0)
            status, _, _ = load([a.address], "--calls", "100", "--allow-failures")
            self.assertEqual(status, 0)

    def test_retries_hide_a_flaky_backend(self):
        with Echo("--fail-rate", "0.1") as a, Echo() as b:
            status, report, _ = load([a.address, b.address], "--calls", "5000", "--attempts", "5")
        self.assertEqual(status, 0)
        self.assertGreater(report["retries"], 100)
        self.assertEqual(report["attempts"], report["calls"] + report["retries"])

    def test_one_attempt_means_no_retry(self):
        with Echo("--fail-rate", "0.1") as a:
            status, report, _ = load([a.address], "--calls", "1000", "--attempts", "1")
        self.assertEqual(status, 1)
        self.assertEqual(report["retries"], 0)
        self.assertEqual(list(report["by_status"]), ["UNAVAILABLE"])

    def test_a_dead_port_is_named_with_the_reason_and_ends_in_time(self):
        port = dead_port()
        started = time.monotonic()
        status, report, errors = load([f"127.0.0.1:{port}"], "--duration", "60s")
        self.assertEqual(status, 1)
        self.assertEqual(report["calls"], 0)
        self.assertIn(f"127.0.0.1:{port} is not ready: ", errors)
        self.assertIn("refused", errors)
        self.assertLess(time.monotonic() - started, 15)

    def test_a_dead_endpoint_among_live_ones_fails_no_call(self):
        with Echo() as a:
            status, report, errors = load([a.address, f"127.0.0.1:{dead_port()}"], "--calls", "1000", "--timeout", "1s")
        self.assertEqual(status, 0)
        self.assertEqual(report["ok"], 1000)
        self.assertIn("is not ready", errors)

    def test_an_interrupt_drains_and_reports(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Echo("--delay", "20ms") as a:
                run = subprocess.Popen(command([a.address], "--duration", "60s"), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
                run_until(lambda: established(a.address), "the tool's connection")
                run.send_signal(number)
                out, table = run.communicate(timeout=20)
            self.assertEqual(run.returncode, 0, table)
            self.assertEqual(json.loads(out)["failed"], 0)

    def test_an_interrupt_while_no_call_is_in_flight_ends_it_at_once(self):
        with Echo() as a:
            run = subprocess.Popen(command([a.address], "--rate", "0.5", "--duration", "60s"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
            self.assertTrue(run.stderr.readline().endswith("0 in flight  1 of 1 connections ready  0 failed\n"))
            run.send_signal(signal.SIGINT)
            out, _ = run.communicate(timeout=20)
        self.assertEqual(run.returncode, 0)
        self.assertEqual(json.loads(out)["failed"], 0)

    def test_four_connections_are_four_sockets(self):
        with Echo("--delay", "5ms") as a:
            run = subprocess.Popen(command([a.address], "--connections", "4", "--duration", "60s"),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            run_until(lambda: established(a.address) == 4, "four connections")
            run.send_signal(signal.SIGINT)
            report = json.loads(run.communicate(timeout=20)[0])
        self.assertEqual(report["endpoints"][0]["connections_opened"], 4)

    def test_a_resolver_says_where_the_endpoints_are_while_it_runs(self):
        with Echo() as a, Echo() as b, Echo() as c, tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "list.json")
            write_list(path, a.address, b.address)
            with Running(None, "--resolver", f"file://{path}", "--rate", "200") as tool:
                tool.says(f"{a.address} 50 % ", f"{b.address} 50 % ")
                write_list(path, b.address, c.address)
                tool.says(f"{b.address} 50 % ", f"{c.address} 50 % ")
                report = tool.end()
        self.assertEqual(report["failed"], 0)
        self.assertEqual({each["address"] for each in report["endpoints"]}, {a.address, b.address, c.address})

    def test_an_endpoint_that_says_it_does_not_serve_is_left_out_until_it_does(self):
        service = "millrace.echo.Echo"
        with Echo("--health") as a, Echo("--health") as b:
            with Running([a.address, b.address], "--health", service, "--rate", "200") as tool:
                tool.says(f"{a.address} 50 % ", "ready | ", "ready\n")
                a.process.send_signal(signal.SIGUSR1)
                tool.says(f"{a.address} 0 % ", " unhealthy", f"{b.address} 100 % ")
                a.process.send_signal(signal.SIGUSR1)
                tool.says(f"{a.address} 50 % ", "ready | ", "ready\n")
                report = tool.end()
        self.assertEqual(report["failed"], 0)
        [first, second] = report["endpoints"]
        self.assertEqual((first["ejections"], second["ejections"]), (1, 0))
        self.assertEqual(first["ejection_reasons"], {"the server says NOT_SERVING": 1})
        self.assertEqual(second["ejection_reasons"], {})
        self.assertGreaterEqual(report["health_questions"], 2)

    def test_an_endpoint_whose_calls_fail_is_ejected_and_the_report_says_why(self):
        with Echo() as a, Echo("--status", "UNAVAILABLE") as b:
            status, report, table = load([a.address, b.address], "--outlier", "--rate", "200", "--duration", "2s",
                                         "--attempts", "5")
        self.assertEqual((status, report["failed"]), (0, 0), table)
        bad = report["endpoints"][1]
        self.assertEqual(bad["ejection_reasons"], {"too many failures in a row": 1})
        # five in a row, and those that were on their way
        self.assertLess(bad["calls"], 40)
        self.assertIn(f"{b.address}  ejected 1 x: too many failures in a row", table)

    def test_connections_are_added_while_calls_wait_and_no_more_than_allowed(self):
        with Echo("--delay", "20ms") as a:
            with Running([a.address], "--watermark", "2", "--max-slots", "4", "--concurrency", "32") as tool:
                tool.says("4 of 4 connections ready")
                tool.says("4 of 4 connections ready")
                sockets = established(a.address)
                report = tool.end()
        self.assertEqual(sockets, 4)
        self.assertEqual(report["endpoints"][0]["connections_opened"], 4)
        self.assertEqual(report["pool_size"][-1], 4)
        # four connections of two calls of 20 ms each
        self.assertLess(report["rps"], 400)

    def test_a_watermark_of_one_sends_one_call_after_the_other(self):
        with Echo("--delay", "10ms") as a:
            status, report, table = load([a.address], "--watermark", "1", "--concurrency", "8", "--calls", "50")
        self.assertEqual((status, report["ok"]), (0, 50), table)
        self.assertLess(report["rps"], 100)

    def test_parameters_come_from_a_file_and_flags_win_over_it(self):
        with Echo() as a, Echo() as b, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"target": f"{a.address},{b.address}", "balance": "pick_first"}, file)
            file.flush()
            asked = ("--config", file.name, "--connections", "2", "--calls", "100")
            _, report, table = load(None, *asked)
            # the other one was not even connected to
            self.assertEqual([each["calls"] for each in report["endpoints"]], [100], table)
            _, report, table = load(None, *asked, "--balance", "round_robin")
            self.assertEqual([each["calls"] for each in report["endpoints"]], [50, 50], table)

    def test_the_endpoints_of_each_second_are_shown_when_there_are_several(self):
        with Echo() as a:
            _, _, table = load([a.address], "--rate", "50", "--duration", "1500ms")
            self.assertIn("calls/s", table)
            self.assertNotIn(f"{a.address} 100 %", table)


def write_list(path, *addresses):
    with open(path + ".next", "w") as file:
        json.dump([{"targets": list(addresses)}], file)
    os.rename(path + ".next", path)


def established(address):
    """TCP connections to address, from the kernel's table, seen from the client's end."""
    port = int(address.rsplit(":", 1)[1])
    rows = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):  # gRPC's sockets are dual-stack
        with open(name) as table:
            rows += [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if int(row[2].split(":")[1], 16) == port and row[3] == "01")


def run_until(condition, what, seconds=10):
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


if __name__ == "__main__":
    suite = unittest.main(exit=False, verbosity=2).result
    bad = len(suite.failures) + len(suite.errors)
    print(f"{suite.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
