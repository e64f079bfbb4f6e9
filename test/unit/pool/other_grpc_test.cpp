// SPDX-License-Identifier: Apache-2.0
// Stub channels as they are compiled with a gRPC whose private members are not known.
#include <millrace/pool/pool.hpp>

#include <support/catch.hpp>

using namespace millrace;

TEST_CASE("pool: with a gRPC that is not known there are no stub channels, and it is said why", "[pool][stub]") {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = "127.0.0.1:1", .stub_calls = true}};
  CHECK_THROWS_WITH(pool.stub_channel(), Catch::Contains("built with gRPC") && Catch::Contains("1.51 is"));
}
