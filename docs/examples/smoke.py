#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one example against millrace-echo and looks for a line in what it prints.

usage: smoke.py --echo MILLRACE-ECHO [--echos N] [--flags=FLAGS] [--sigterm-after TEXT] --expect TEXT EXAMPLE
"""
import argparse
import os
import shlex
import signal
import subprocess
import sys

BOUND = 20  # seconds


def start_echo(program, flags):
    echo = subprocess.Popen([program, "--port", "0", *flags], stdout=subprocess.PIPE, text=True)
    return echo, echo.stdout.readline().split()[-1]


def run(example, target, sigterm_after):
    """Its status and its output, the two streams together."""
    child = subprocess.Popen([example, target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = ""
    try:
        if sigterm_after:
            output = child.stdout.readline()
            if sigterm_after in output:
                child.send_signal(signal.SIGTERM)
        output += child.communicate(timeout=BOUND)[0]
    except subprocess.TimeoutExpired:
        child.kill()
        output += child.communicate()[0] + f"\n(killed: it ran for more than {BOUND} s)"
    return child.returncode, output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--echo", required=True)
    parser.add_argument("--echos", type=int, default=1)
    parser.add_argument("--flags", default="")
    parser.add_argument("--sigterm-after")
    parser.add_argument("--expect", action="append", required=True)
    parser.add_argument("example")
    asked = parser.parse_args()
    signal.alarm(3 * BOUND)
    echos = []
    try:
        for _ in range(asked.echos):
            echos.append(start_echo(asked.echo, shlex.split(asked.flags)))
        status, output = run(asked.example, ",".join(address for _, address in echos), asked.sigterm_after)
    finally:
        for echo, _ in echos:
            echo.kill()
            echo.wait()
    print(output)
    missing = [line for line in asked.expect if line not in output]
    if status != 0:
        print(f"{os.path.basename(asked.example)} ended with status {status}")
    for line in missing:
        print(f"{os.path.basename(asked.example)} did not print: {line}")
    return 1 if status != 0 or missing else 0


if __name__ == "__main__":
    sys.exit(main())
