// SPDX-License-Identifier: Apache-2.0
#include <load/resolvable.hpp>

#include <support/catch.hpp>

using namespace millrace;

TEST_CASE("load: an endpoint whose name does not resolve is refused by name", "[load]") {
  load::options asked;
  asked.endpoints = {"127.0.0.1:1", "[::1]:1", "unix:/nowhere", "localhost:1"};
  CHECK_FALSE(load::unresolvable(asked));
  asked.endpoints.push_back("no-such-host.invalid:1");
  auto const refused = load::unresolvable(asked);
  REQUIRE(refused);
  CHECK(refused->status == 2);
  CHECK_THAT(refused->text, Catch::Contains("--endpoints 'no-such-host.invalid:1'"));
}
