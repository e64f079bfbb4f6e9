// SPDX-License-Identifier: Apache-2.0
// Hedges and the time of an attempt, against a server that answers and one that never does.
#include <millrace/metrics/observer.hpp>

#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/first_of_all.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;

namespace {

/// Two endpoints, of which the first is silent and the one that calls go to first.
struct silent_and_fast {
  explicit silent_and_fast(bool minimal_stack = true)
      : pool{loop,
             {.target = silent.address() + "," + fast.address(),
              .make_picker = test::first_of_all::make,
              .minimal_stack = minimal_stack}} {
    pool.async_ready({.min_ready = 2}, [](error_code error) { REQUIRE_FALSE(error); });
    loop.run();
  }

  http2_server silent{[](http2_server::exchange&) {}};
  echo_server fast;
  millrace::loop loop;
  millrace::pool pool;
  call_info info{};
};

}  // namespace

TEST_CASE("complaint 36: a server that does not answer is overtaken by a hedge, and its attempt cut off",
          "[live][hedge]") {
  silent_and_fast on;
  client<echo::Echo> echo{on.pool, {.hedging = retry::hedging_policy{.delay = 10ms}, .idempotent = true}};
  auto const reply = call_once(on.loop, echo, saying("hello"), {.timeout = 20s, .info = &on.info});
  INFO(why(reply));
  REQUIRE(reply.has_value());
  CHECK(reply->text() == "hello");
  CHECK(reply->previous_attempts() == 1);
  CHECK(on.info.attempts == 2);
  CHECK(on.info.hedge_won);
  CHECK(on.info.endpoint == on.fast.address());
  // the loop ran until the loser was back
  CHECK(on.pool.snapshot().in_flight == 0);
  CHECK(on.silent.requests() == 1);
}

TEST_CASE("trap T14: a hedge whose delay is a fraction of a millisecond is not early", "[live][hedge][T14]") {
  struct starts final : observer {
    using observer::on;
    void on(events::attempt_started const& event) noexcept override { at.push_back(event.at); }
    std::vector<time_point> at;
  } seen;
  silent_and_fast on;
  client<echo::Echo> echo{
      on.pool,
      {.hedging = retry::hedging_policy{.delay = 300us, .max_extra_load = 1}, .idempotent = true, .observer = &seen}};
  for (std::size_t call = 0; call < 20; ++call) {
    REQUIRE(call_once(on.loop, echo, saying("hello"), {.timeout = 20s}).has_value());
    REQUIRE(seen.at.size() == 2 * call + 2);
    CHECK(seen.at[2 * call + 1] - seen.at[2 * call] >= 300us);
  }
}

TEST_CASE("trap T43: a hedge that loses was at its server, was paid for when it was sent, and its tag comes back",
          "[live][hedge][T43]") {
  http2_server silent([](http2_server::exchange&) {});
  echo_server slow;
  millrace::loop loop;
  // one withdrawal in a minute is all that the budget has
  millrace::pool pool{loop,
                      {.target = slow.address() + "," + silent.address(),
                       .make_picker = test::first_of_all::make,
                       .budget = {.percent = 0, .min_per_second = 0.025, .ttl = 60s}}};
  pool.async_ready({.min_ready = 2}, [](error_code error) { REQUIRE_FALSE(error); });
  loop.run();
  CHECK(pool.snapshot().retry_budget >= 1);
  client<echo::Echo> echo{pool, {.hedging = retry::hedging_policy{.delay = 10ms}, .idempotent = true}};
  auto request = saying("first");
  request.set_delay_ms(100);

  call_info hedged;
  std::optional<rpc_result<echo::EchoReply>> answer;
  echo.async_call<&echo::Echo::Stub::PrepareAsyncSay>(
      request, {.timeout = 20s, .info = &hedged},
      [&](rpc_result<echo::EchoReply> reply) { answer = std::move(reply); });
  run_until(loop, "the hedge at its server", [&] { return silent.requests() == 1; });
  CHECK_FALSE(answer);
  CHECK(pool.snapshot().retry_budget < 1);
  CHECK(pool.snapshot().in_flight == 2);
  loop.run();
  REQUIRE(answer);
  INFO(why(*answer));
  REQUIRE(answer->has_value());
  CHECK((*answer)->text() == "first");
  CHECK(hedged.hedges == 1);
  CHECK_FALSE(hedged.hedge_won);
  CHECK(pool.snapshot().in_flight == 0);

  call_info unhedged;
  CHECK(call_once(loop, echo, request, {.timeout = 20s, .info = &unhedged}).has_value());
  CHECK(unhedged.hedges == 0);
  CHECK(silent.requests() == 1);
  CHECK(slow.calls() == 2);
  CHECK(loop.stop().finished);
}

TEST_CASE("live: an attempt without an answer in its time is made again elsewhere", "[live][hedge]") {
  auto const minimal = GENERATE(true, false);
  silent_and_fast on(minimal);
  client<echo::Echo> echo{on.pool, {.retry = {.per_attempt_timeout = 50ms}}};
  auto const reply = call_once(on.loop, echo, saying("hello"), {.timeout = 20s, .info = &on.info});
  INFO(why(reply));
  REQUIRE(reply.has_value());
  CHECK(on.info.attempts == 2);
  CHECK(reply->time_left_ms() <= 60);  // its own time, as gRPC rounds what it writes, and not the call's
}
