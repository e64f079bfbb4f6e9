# SPDX-License-Identifier: Apache-2.0
"""What bench-guard makes of callgrind's files. Argument: the folder of callgrind.py."""
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1))
import callgrind  # noqa: E402

# main (10 itself) calls step (100) twice, which calls malloc (7) in libc and itself
FILE = """\
# callgrind format
positions: line
events: Ir

ob=(1) /tmp/program
fl=(1) main.cpp
fn=(1) main
1 4
+1 6
cfn=(2) millrace::unary_call::step()
calls=2 9
+3 107

fn=(2)
9 100
cob=(2) /usr/lib/libc.so.6
cfi=(2) malloc.c
cfn=(3) malloc
calls=1 5
* 7
cfn=(2)
calls=1 9
+1 50

ob=(2)
fl=(2)
fn=(3)
5 7

totals: 117
"""


class Reading(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "out"
            path.write_text(FILE)
            self.profile = callgrind.read(path)
        self.by_name = {f.name: f for f in self.profile.self}

    def cost(self, name):
        function = self.by_name[name]
        return self.profile.self[function], self.profile.inclusive[function]

    def test_a_function_has_its_own_cost_and_that_of_what_it_calls(self):
        self.assertEqual(self.cost("main"), (10, 117))
        self.assertEqual(self.cost("malloc"), (7, 7))
        self.assertEqual(self.profile.total, 117)

    def test_a_call_of_itself_is_not_counted_again(self):
        self.assertEqual(self.cost("unary_call::step()"), (100, 107))

    def test_a_function_is_told_by_its_library_and_its_name(self):
        self.assertEqual({f.name: f.library for f in self.profile.self},
                         {"main": "program", "unary_call::step()": "engine", "malloc": "libc"})

    def test_the_difference_of_two_is_what_a_call_costs(self):
        half = callgrind.Profile(17, {f: n for f, n in self.profile.self.items() if f.library != "engine"}, {})
        each = self.profile.less(half, 50)
        self.assertEqual(each.total, 2)
        self.assertEqual({f.name: n for f, n in each.self.items()}, {"unary_call::step()": 2})


class Naming(unittest.TestCase):
    def test_a_long_name_loses_its_template_arguments(self):
        name = callgrind.short("void f<std::map<int, std::pair<long, long>>, " + "x" * 120 + ">(int)")
        self.assertEqual(name, "void f<>(int)")


if __name__ == "__main__":
    unittest.main()
