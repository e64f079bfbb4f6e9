#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU a call of servers, driven by millrace-load in turns. Medians of all rounds; the ratio is the median of the rounds' ratios to the
first server. Servers run on one core and the load tool on another, if there are two.

usage: compare.py [--in-flight 1,8,64,512] [--rounds 5] [--seconds 1] [--load "PROGRAM ARGS…"] "SERVER ARGS…" "SERVER ARGS…" …

Each server is given `--port 0` and says `listening on ADDRESS`. For example, from the build directory:
  ../bench/embedded/compare.py bench/embedded/millrace-plain bench/embedded/millrace-embedded "bench/embedded/millrace-embedded --no-cork"
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time


class Server:
    def __init__(self, command, core):
        self.name = command
        self.process = subprocess.Popen(on_core(core) + shlex.split(command) + ["--port", "0"], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        # the kernel's CPU clock of another process: (~pid << 3) | CPUCLOCK_SCHED
        self.clock = (~self.process.pid << 3) | 2

    def cpu(self):
        return time.clock_gettime(self.clock)

    def end(self):
        self.process.kill()
        self.process.wait()


def on_core(core):
    return ["taskset", "-c", str(core)] if os.cpu_count() > 1 else []


def measure(load, server, in_flight, seconds):
    before = server.cpu()
    command = on_core(0) + shlex.split(load) + ["--endpoints", server.address, "--method", "/millrace.echo.Echo/Say", "--payload-bytes", "0",
                                                "--concurrency", str(in_flight), "--duration", f"{seconds}s", "--timeout", "20s",
                                                "--quiet", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    report = json.loads(done.stdout)
    if report["failed"]:
        sys.exit(f"compare.py: {server.name}: {report['failed']} calls failed: {done.stderr}")
    return {"server_us": (server.cpu() - before) * 1e6 / report["calls"], "client_us": report["cpu_us_per_call"], "rps": report["rps"],
            "p50": report["latency_us"]["p50"], "p99": report["latency_us"]["p99"]}


def main():
    args = argparse.ArgumentParser(usage=__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    args.add_argument("--in-flight", default="1,8,64,512")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=float, default=1)
    args.add_argument("--load", default=os.path.join(here, "../../build/bench/load/millrace-load"))
    args.add_argument("servers", nargs="+")
    asked = args.parse_args()
    depths = [int(one) for one in asked.in_flight.split(",")]
    servers = [Server(command, 1) for command in asked.servers]
    try:
        runs = {(depth, server.name): [] for depth in depths for server in servers}
        for _ in range(asked.rounds):
            for depth in depths:
                for server in servers:
                    runs[depth, server.name].append(measure(asked.load, server, depth, asked.seconds))
    finally:
        for server in servers:
            server.end()
    print(f"{'in flight':>9}  {'server CPU us':>13} {'ratio':>6} {'range':>13} {'calls/s':>9} {'p50 us':>8} {'p99 us':>8} {'client us':>9}  server")
    for depth in depths:
        for server in servers:
            mine, first = runs[depth, server.name], runs[depth, servers[0].name]
            middle = {key: statistics.median(run[key] for run in mine) for key in mine[0]}
            ratio = statistics.median(a["server_us"] / b["server_us"] for a, b in zip(mine, first))
            spread = f"{min(run['server_us'] for run in mine):.1f}..{max(run['server_us'] for run in mine):.1f}"
            print(f"{depth:9}  {middle['server_us']:13.2f} {ratio:6.2f} {spread:>13} {middle['rps']:9.0f} {middle['p50']:8.0f} "
                  f"{middle['p99']:8.0f} {middle['client_us']:9.2f}  {os.path.basename(server.name)}")


if __name__ == "__main__":
    main()
