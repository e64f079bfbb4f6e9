// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/endpoint_file.hpp>

#include <support/catch.hpp>

#include <utility>

using namespace millrace;
using resolve::parse_endpoint_file;

TEST_CASE("endpoint file: groups of targets, and labels that hold for a group", "[resolve]") {
  CHECK(parse_endpoint_file("[]").empty());
  CHECK(parse_endpoint_file(R"([{"targets": []}])").empty());
  CHECK(parse_endpoint_file(R"([{"targets": ["a:1", "b:1"]}, {"targets": ["[::1]:2"], "labels": {}}])") ==
        endpoint_set{{.address = "a:1"}, {.address = "b:1"}, {.address = "[::1]:2"}});
  CHECK(parse_endpoint_file(R"([
    {"labels": {"weight": "3", "priority": 1, "zebra": "z", "locality": "west", "ant": "", "authority": "x:1"},
     "targets": ["a:1", "b:1"]},
    {"targets": ["c:1"], "labels": {"__weight__": 1000000}}])") ==
        endpoint_set{{.address = "a:1",
                      .weight = 3,
                      .priority = 1,
                      .locality = "west",
                      .metadata = {{"zebra", "z"}, {"ant", ""}},
                      .authority = "x:1"},
                     {.address = "b:1",
                      .weight = 3,
                      .priority = 1,
                      .locality = "west",
                      .metadata = {{"zebra", "z"}, {"ant", ""}},
                      .authority = "x:1"},
                     {.address = "c:1", .weight = 1'000'000}});
}

TEST_CASE("endpoint file: what is wrong is named with its place, its value and what is allowed", "[resolve]") {
  for (auto const& [text, says] : {
           std::pair{"", "parse error at line 1, column 1"},
           {"[{\"targets\": [\"a:1\"]}\n", "parse error at line 2, column 1"},
           {"[] x", "parse error at line 1, column 4"},
           {"[\"\xff\"]", "parse error at line 1, column 3"},
           {"{}", "$ is an object; allowed: an array of objects with targets and labels"},
           {"null", "$ is null; allowed: an array"},
           {R"(["a:1"])", R"($[0] is "a:1"; allowed: an object with targets and labels)"},
           {R"([{}])", "$[0] is an object without targets; allowed: targets and labels"},
           {R"([{"labels": {}}])", "$[0] is an object without targets"},
           {R"([{"target": []}])", R"($[0] is an object with the key "target"; allowed: targets and labels)"},
           {R"([{"targets": "a:1"}])", R"($[0].targets is "a:1"; allowed: an array of strings)"},
           {R"([{"targets": ["a:1", 2]}])", "$[0].targets[1] is 2; allowed: a string"},
           {R"([{"targets": ["a:1", "b"]}])",
            R"($[0].targets[1]: endpoint "b" is not host:port; allowed are host:port)"},
           {R"([{"targets": ["a:1"]}, {"targets": ["a:1"]}])", R"($: endpoint "a:1" is listed twice)"},
           {R"([{"targets": [], "labels": []}])", "$[0].labels is an array; allowed: an object"},
           {R"([{"targets": [], "labels": {"weight": 0}}])",
            "$[0].labels.weight is 0; allowed: a whole number from 1 to 1000000"},
           {R"([{"targets": [], "labels": {"weight": "1000001"}}])",
            R"($[0].labels.weight is "1000001"; allowed: a whole)"},
           {R"([{"targets": [], "labels": {"__weight__": 1.5}}])", "$[0].labels.__weight__ is 1.5; allowed: a whole"},
           {R"([{"targets": [], "labels": {"weight": "much"}}])", R"($[0].labels.weight is "much"; allowed: a whole)"},
           {R"([{"targets": [], "labels": {"weight": {}}}])", "$[0].labels.weight is an object; allowed: a whole"},
           {R"([{"targets": [], "labels": {"priority": -1}}])",
            "$[0].labels.priority is -1; allowed: a whole number from 0 to 4294967295"},
           {R"([{"targets": [], "labels": {"locality": 1}}])", "$[0].labels.locality is 1; allowed: a string"},
           {R"([{"targets": [], "labels": {"rack": true}}])", "$[0].labels.rack is true; allowed: a string"},
       }) {
    INFO(text);
    CHECK_THROWS_AS(parse_endpoint_file(text), std::invalid_argument);
    CHECK_THROWS_WITH(parse_endpoint_file(text), Catch::StartsWith(says));
  }
}
