#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles every engine header alone, or checks that the pure files reach neither gRPC nor Asio.

usage: check_headers.py standalone|pure ENGINE_DIR COMPILER...

Ends with "N passed, N failed"; each failure is printed with what led to it.
"""
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PURE_FOLDERS = {"base", "time", "metrics", "retry", "health", "balance", "intercept"}
# what is pure in folders that are not, besides the machines: stems, for header and source, or names of files
PURE_FILES = {
    "pool": {"concurrency_limit", "connection_age", "fewer_pings", "load_latency", "responsiveness", "rotation", "scaling", "sizing"},
    "resolve": {"address", "addresses", "dns_params", "endpoint", "endpoint_file", "file_params", "name_lookup", "resolver",
                "static_resolver", "target", "make_resolver.hpp", "manual_endpoints.hpp"},
}
# reach no gRPC, though Asio
NO_GRPC = {"resolve", "sim"}
GRPC = re.compile(r"/grpcpp/|/grpc/|/grpc\+\+/")
GRPC_OR_ASIO = re.compile(GRPC.pattern + r"|/boost/asio/|/boost/asio\.hpp")

FLAGS = ["-std=c++20", "-DBOOST_ASIO_NO_DEPRECATED", "-x", "c++"]


def forbidden(path: Path) -> re.Pattern | None:
    """What a file must not reach; None when it may reach anything. `path` is relative to engine/millrace."""
    folder = path.parts[0]
    if folder in PURE_FOLDERS or path.stem.endswith("_machine") or {path.stem, path.name} & PURE_FILES.get(folder, set()):
        return GRPC_OR_ASIO
    if folder in NO_GRPC:
        return GRPC
    return None


def compile_alone(compiler, engine, path):
    """First include of a translation unit, and once more, for the include guard."""
    unit = f"#include <millrace/{path}>\n" * 2
    command = [*compiler, *FLAGS, "-I", str(engine), "-fsyntax-only", "-"]
    done = subprocess.run(command, input=unit, capture_output=True, text=True)
    return [] if done.returncode == 0 else done.stderr.splitlines()[:20]


def include_chain(tree, pattern):
    """The includes, outermost first, that lead to the first match in the output of -H ('. a', '.. b', '. c')."""
    chain = []
    for line in tree.splitlines():
        if found := re.match(r"^(\.+) (.*)$", line):
            chain[len(found[1]) - 1:] = [found[2]]
            if pattern.search(found[2]):
                return chain
    return []


def reaches(compiler, engine, path, pattern):
    command = [*compiler, *FLAGS, "-I", str(engine), "-M", "-H", str(engine / "millrace" / path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.splitlines()[-20:]
    if not pattern.search(done.stdout):
        return []
    return ["reaches what it must not:"] + [f"  {step}" for step in include_chain(done.stderr, pattern)]


def main(kind, engine, compiler):
    engine = Path(engine).resolve()
    root = engine / "millrace"
    files = [path.relative_to(root) for path in sorted(root.rglob("*.[hc]pp"))]
    if kind == "standalone":
        jobs = [(path, lambda path=path: compile_alone(compiler, engine, path)) for path in files if path.suffix == ".hpp"]
    else:
        jobs = [(path, lambda path=path, bad=bad: reaches(compiler, engine, path, bad))
                for path in files if (bad := forbidden(path)) is not None]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda job: job[1](), jobs))
    failed = 0
    for (path, _), problem in zip(jobs, results):
        if problem:
            failed += 1
            print(f"millrace/{path}:", *problem, sep="\n  ")
    print(f"{len(jobs) - failed} passed, {failed} failed")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
