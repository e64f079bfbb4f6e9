// SPDX-License-Identifier: Apache-2.0
#include "canned_process.hpp"

#include <support/catch.hpp>
#include <support/process.hpp>

#include <string>

using namespace millrace;

namespace {

std::string worker(std::string const& client, std::string const& target) {
  test::process one({test::program_in("BENCH_PEERS"), "--worker", client, "--target", target, "--in-flight", "8",
                     "--payload", "100", "--calls", "200"});
  return one.read_line();
}

}  // namespace

TEST_CASE("live: every client of bench-peers does its work", "[live][peers]") {
  auto const client =
      GENERATE(as<std::string>{}, "textbook", "callback-api", "sync", "textbook-pool", "callback-api-pool", "sync-pool",
               "core", "attempt", "millrace", "millrace-coro", "millrace-nocork", "millrace-transparent-core");
  test::canned_process const canned;
  test::echo_process const echo;
  for (std::string const& target : {canned.address(), echo.address()}) {
    std::string const line = worker(client, target);
    INFO(client << " against " << target << ": " << line);
    CHECK_THAT(line, Catch::Contains("\"calls\":200"));
    CHECK_THAT(line, Catch::Contains("\"failed\":0"));
  }
}
