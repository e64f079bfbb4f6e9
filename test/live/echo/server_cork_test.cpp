// SPDX-License-Identifier: Apache-2.0
// The replies of a server on a loop, coalesced.
#include <millrace/pool/socket_mutator.hpp>

#include <support/corked.hpp>

#include "running_server.hpp"

#include <grpcpp/channel.h>

using namespace millrace;
using namespace millrace::test;
using echo::running_server;

namespace {

int flooded(running_server& server, int depth, int total) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server->address(), .max_slots = 1, .cork = false}};
  client<echo::Echo> with(pool);
  return flood(loop, with, depth, total);
}

std::size_t descriptors() { return open_descriptors().size(); }

}  // namespace

TEST_CASE("server_cork: deep load is corked, every call is answered, and no socket is left so", "[live][server]") {
  if (!can_tap_sockets()) return;
  running_server server;
  CHECK(flooded(server, 64, 5000) == 5000);
  CHECK(corked_sockets() == 0);
  server.stop();
  CHECK(server->coalescing().corks > 0);
  CHECK_FALSE(server->coalescing().corked);
}

TEST_CASE("server_cork: a rule that is not allowed is named", "[live][server]") {
  millrace::loop loop;
  CHECK_THROWS_WITH(server_cork(loop, {.flush_every = 0}),
                    "cork_params.flush_every: 0 is not allowed; it must be 1 or more");
}

TEST_CASE("server_cork: IPv6 peers are known too", "[live][server]") {
  if (!can_tap_sockets()) return;
  if (!std::filesystem::exists("/proc/net/if_inet6")) return;
  running_server server({.host = "[::1]"});
  CHECK(flooded(server, 64, 5000) == 5000);
  server.stop();
  CHECK(server->coalescing().corks > 0);
}

TEST_CASE("server_cork: shallow load is hardly ever corked, and a server it is not installed on never",
          "[live][server]") {
  for (bool const cork : {true, false}) {
    running_server server({.cork = cork});
    CHECK(flooded(server, cork ? 1 : 64, 1000) == 1000);
    server.stop();
    // where another program takes the processor away in the middle of a turn, calls one after the other fall into that one turn
    CHECK(server->coalescing().corks <= (cork ? 20 : 0));
    CHECK(server->held() <= (cork ? 1 : 0));
  }
}

TEST_CASE("server_cork: the sockets of connections that ended are let go", "[live][server]") {
  if (!can_tap_sockets()) return;
  running_server server;
  CHECK(flooded(server, 2, 10) == 10);
  std::size_t const before = descriptors();
  for (int connection = 0; connection < 1000; ++connection) REQUIRE(flooded(server, 1, 1) == 1);
  std::size_t const after = descriptors();
  INFO(before << " descriptors before, " << after << " after 1000 connections");
  CHECK(after < before + 64);
  server.stop();
  CHECK(server->held() < 64);
}
