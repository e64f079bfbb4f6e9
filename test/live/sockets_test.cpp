// SPDX-License-Identifier: Apache-2.0
// A slot is a TCP connection: counted in the kernel's table and, where it matters, by the server.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/sockets.hpp>
#include <support/wait.hpp>

#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;

namespace {

void make_ready(millrace::loop& loop, millrace::pool& pool, std::uint32_t slots) {
  error_code error = errc::cancelled;
  pool.async_ready({.min_ready = slots, .timeout = patience}, [&](error_code result) { error = result; });
  loop.run();
  REQUIRE(!error);
}

}  // namespace

// complaints 1 and 6: grpc#25062 and others, and userver's `channel-count`, which looks like a number of connections
TEST_CASE("complaints 1 and 6, trap T25: four slots to one endpoint are four TCP connections", "[live][sockets][T25]") {
  echo_server server;
  millrace::loop loop;
  {
    millrace::pool pool{loop, {.target = server.address(), .min_slots = 4, .max_slots = 4}};
    make_ready(loop, pool, 4);
    CHECK(established_to(server.port()) == 4);
    for (int call = 0; call < 12; ++call) CHECK(call_once(loop, pool, saying("x"), {.timeout = patience}).has_value());
    CHECK(server.connections() == 4);
    CHECK(established_to(server.port()) == 4);
  }
  wait_until("the connections to close with the pool", [&] { return established_to(server.port()) == 0; });
}

TEST_CASE("sockets: one slot is one connection, however many calls", "[live][sockets]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1}};
  client<Echo> echo(pool);
  int answered = 0;
  for (int call = 0; call < 200; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = patience},
                                                  [&](rpc_result<EchoReply> reply) { answered += reply.has_value(); });
  }
  loop.run();
  CHECK(answered == 200);
  CHECK(established_to(server.port()) == 1);
  CHECK(server.connections() == 1);
}

TEST_CASE("sockets: pick_first connects to one of three servers, and to the next one when that is gone",
          "[live][sockets]") {
  echo_server first;
  echo_server second;
  echo_server third;
  millrace::loop loop;
  millrace::pool pool{
      loop, {.target = first.address() + "," + second.address() + "," + third.address(), .balance = "pick_first"}};
  make_ready(loop, pool, 1);
  for (int call = 0; call < 20; ++call) CHECK(call_once(loop, pool, saying("x"), {.timeout = patience}).has_value());
  CHECK(pool.snapshot().chosen == std::vector<std::string>{first.address()});
  CHECK(established_to(first.port()) == 1);
  CHECK(first.connections() == 1);
  CHECK(second.connections() + third.connections() == 0);
  first.stop();
  run_until(loop, "the next one", [&] {
    auto const chosen = pool.snapshot().chosen;
    return !chosen.empty() && chosen[0] == second.address();
  });
  CHECK(call_once(loop, pool, saying("x"), {.timeout = patience}).has_value());
  CHECK(established_to(second.port()) == 1);
  CHECK(third.connections() == 0);
}

TEST_CASE("sockets: two pools to one endpoint share nothing", "[live][sockets]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool one{loop, {.target = server.address(), .max_slots = 1}};
  millrace::pool other{loop, {.target = server.address(), .max_slots = 1}};
  make_ready(loop, one, 1);
  make_ready(loop, other, 1);
  CHECK(established_to(server.port()) == 2);
}

TEST_CASE("sockets: a pool whose slots are full opens the next, up to max_slots", "[live][sockets]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .min_slots = 1, .max_slots = 3, .max_calls_per_slot = 1}};
  client<Echo> echo(pool);
  make_ready(loop, pool, 1);
  CHECK(established_to(server.port()) == 1);
  auto slow = saying("slow");
  slow.set_delay_ms(60'000);
  int ended = 0;
  for (int call = 0; call < 5; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(slow, {.timeout = patience}, [&](auto const&) { ++ended; });
  }
  run_until(loop, "three calls to be at the server, one a slot", [&] { return server.calls() == 3; });
  CHECK(established_to(server.port()) == 3);
  CHECK(server.connections() == 3);
  auto const now = pool.snapshot();
  CHECK(now.waiting == 2);
  CHECK(now.in_flight == 3);
  for (auto const& slot : now.slots) CHECK(slot.in_flight == 1);
  server.stop();
}
