# SPDX-License-Identifier: Apache-2.0
"""Reads callgrind's output files: instructions by function, its own and with what it calls."""
import os
import re
from collections import defaultdict
from typing import NamedTuple


class Function(NamedTuple):
    library: str  # engine, gRPC, protobuf, abseil, libc, Asio, program, other
    name: str


class Profile(NamedTuple):
    total: float
    self: dict  # Function -> instructions
    inclusive: dict  # the same with callees; a function that calls itself through others is counted again each time

    def less(self, other, calls):
        """What `calls` calls more cost, each."""
        def each(mine, theirs):
            return {f: (n - theirs.get(f, 0)) / calls for f, n in mine.items() if n != theirs.get(f, 0)}
        return Profile((self.total - other.total) / calls, each(self.self, other.self),
                       each(self.inclusive, other.inclusive))


LIBRARIES = [("gRPC", r"lib(grpc|gpr|address_sorting|upb)"), ("protobuf", r"libproto"), ("abseil", r"libabsl"),
             ("libc", r"(lib(c|m|pthread|stdc\+\+|gcc_s|dl|rt)\.so|ld-linux)")]
# of what is in the program itself
NAMES = [("protobuf", r"(google::protobuf|millrace::echo)::"), ("gRPC", r"(non-virtual thunk to )?grpc(::|_)"),
         ("program", r"(millrace::(peers|bench|guard)::|\(anonymous namespace\)|main$|_start$)"),
         ("engine", r"(non-virtual thunk to )?millrace::"), ("Asio", r"boost::asio::"), ("engine", r".*millrace::")]


def library_of(file, name):
    base = os.path.basename(file)
    for library, pattern in LIBRARIES:
        if re.match(pattern, base):
            return library
    if ".so" in base or base in ("", "???"):
        return "other"
    # a template's result type comes first
    bare = re.sub(r"^(?:(?!\().)*? (?=millrace::|boost::|std::)", "", name)
    return next((library for library, pattern in NAMES if re.match(pattern, bare)), "libc")


LONG = [(r"\[clone [^]]*\]|'\d+$", ""), (r"std::chrono::time_point<steady_clock, std::chrono::duration<[^<>]*<[^<>]*> ?> ?>", "time_point"),
        (r"std::chrono::duration<long, std::ratio<[^>]*> ?>", "duration"),
        (r"std::__cxx11::basic_string<char, [^>]*>, [^>]*> ?>", "std::string")]


def short(name, length=110):
    """A name for people: template arguments and namespaces that say little are left out."""
    for said_little in ("millrace::", "std::chrono::_V2::", "(anonymous namespace)::"):
        name = name.replace(said_little, "")
    for pattern, better in LONG:
        name = re.sub(pattern, better, name)
    name = name.strip()
    while len(name) > length and (inner := re.sub(r"<(?!>)(?:[^<>]|<>)*>", "<>", name)) != name:
        name = inner
    return name if len(name) <= length else name[:length - 1] + "…"


def read(path):
    """The profile in the file at `path`."""
    names = {"ob": {}, "fn": {}}
    self_cost, inclusive = defaultdict(int), defaultdict(int)
    known = {}

    def named(kind, text):
        number, _, name = text.partition(" ")
        if not number.startswith("("):
            return text
        if name:
            names[kind][number] = name
        return names[kind][number]

    def function(file, name):
        if (file, name) not in known:
            known[file, name] = Function(library_of(file, name), short(name))
        return known[file, name]

    file = called_file = called = ""
    current, in_call = None, False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            key, equals, value = line.partition("=")
            if equals and key == "ob":
                file = named("ob", value)
            elif equals and key == "fn":
                current = function(file, named("fn", value))
                called_file = file
            elif equals and key == "cob":
                called_file = named("ob", value)
            elif equals and key == "cfn":
                called, called_file = function(called_file, named("fn", value)), file
            elif equals and key == "calls":
                in_call = True
            elif line[:1] in "0123456789+-*" and line:
                cost = int(line.split()[1]) if " " in line else 0
                if not in_call:
                    self_cost[current] += cost
                    inclusive[current] += cost
                elif called != current:
                    inclusive[current] += cost
                in_call = False
    return Profile(sum(self_cost.values()), dict(self_cost), dict(inclusive))
