// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/endpoint.hpp>

#include <support/catch.hpp>

using namespace millrace;

TEST_CASE("endpoint: what is allowed is let pass, an empty set included", "[resolve]") {
  CHECK_NOTHROW(validate({}, "here"));
  CHECK_NOTHROW(validate({{.address = "a:1"},
                          {.address = "[::1]:2", .weight = 1'000'000, .priority = 4'294'967'295},
                          {.address = "unix:/x"},
                          {.address = "xds:///service"}},
                         "here"));
}

TEST_CASE("endpoint: what is not is refused with the place, the endpoint, the value and what is allowed", "[resolve]") {
  struct row {
    endpoint_set set;
    char const* says;
  };
  for (auto const& [set, says] : {
           row{{{.address = ""}},
               "here: endpoint \"\" is empty; allowed are host:port, [v6]:port, unix:path and gRPC targets"},
           row{{{.address = "a:1"}, {.address = "b"}}, "here: endpoint \"b\" is not host:port; allowed are"},
           row{{{.address = "a:1", .weight = 0}}, "here: endpoint \"a:1\" has weight 0; allowed are 1 to 1000000"},
           row{{{.address = "a:1", .weight = 1'000'001}},
               "here: endpoint \"a:1\" has weight 1000001; allowed are 1 to 1000000"},
           row{{{.address = "b:1"}, {.address = "a:1"}, {.address = "b:1"}}, "here: endpoint \"b:1\" is listed twice"},
       }) {
    INFO(says);
    CHECK_THROWS_WITH(validate(set, "here"), Catch::StartsWith(says));
  }
}
