// SPDX-License-Identifier: Apache-2.0
// Stories about attempts after the first.
#include "arrivals.hpp"
#include "support.hpp"

#include <millrace/metrics/counters.hpp>

using namespace millrace;
using namespace millrace::sim;

TEST_CASE("story: a retry goes to another endpoint", "[sim][retry]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable, .message = "busy"});
  world.pool().open();
  world.run_until(10ms);
  make_calls(world, 10ms, 1s, 10ms);
  world.run_calls();
  world.run_until(2s);
  CHECK(count_ok(world) == world.calls().size());
  for (auto const& one : world.calls()) CHECK(one.info.attempts <= 2);
}

TEST_CASE("story: with one endpoint a retry goes to another slot", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .min_slots = 2, .observer = &seen}}};
  world.pool().open();
  world.run_until(10ms);
  world.net()["a"].answer_next({.code = status_code::unavailable});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.ok());
  REQUIRE(seen.attempts.size() == 2);
  CHECK(seen.attempts[0].slot != seen.attempts[1].slot);
}

TEST_CASE("story: the server hears how many attempts went before", "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}}};
  std::vector<unsigned> heard;
  server& a = world.net()["a:1"];
  a.on_request = [&](attempt_request const& request) { heard.push_back(request.previous_attempts); };
  a.answer_next({.code = status_code::unavailable}).answer_next({.code = status_code::unavailable});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.ok());
  CHECK(heard == std::vector<unsigned>{0, 1, 2});
}

TEST_CASE("story: pushback is waited for to the millisecond", "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}}};
  world.pool().open();
  world.run_until(10ms);
  server& a = world.net()["a:1"];
  a.answer_next({.code = status_code::unavailable, .after = 20ms, .pushback = "700"});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.ok());
  REQUIRE(a.received_at().size() == 2);
  CHECK(a.received_at()[1] - a.received_at()[0] == 720ms);
}

TEST_CASE("story: a negative pushback ends the call", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .message = "go away", .pushback = "-1"});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK(call.text() == "go away");
  CHECK(call.info.attempts == 1);
  CHECK(seen.denials == std::vector{retry_denial::pushback});
}

TEST_CASE("story: a pushback beyond the deadline ends the call at once", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .pushback = "5000"});
  auto& call = world.call("hello", {.timeout = 1s});
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK(call.took() < 10ms);
  CHECK(seen.denials == std::vector{retry_denial::deadline});
}

TEST_CASE("story: a call whose headers have arrived is not tried again", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .committed = true});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK(call.info.attempts == 1);
  CHECK(seen.denials == std::vector{retry_denial::committed});
}

TEST_CASE("story: an attempt that never left is repeated at once and does not count", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}, .client = {.retry = {.max_attempts = 1}}}};
  world.pool().open();
  world.run_until(10ms);
  server& a = world.net()["a:1"];
  std::vector<unsigned> heard;
  a.on_request = [&](attempt_request const& request) { heard.push_back(request.previous_attempts); };
  a.answer_next({.code = status_code::unavailable, .never_left = true});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.ok());
  CHECK(call.took() == 0ms);
  CHECK(call.info.attempts == 2);
  CHECK(heard == std::vector<unsigned>{0});
  REQUIRE(seen.retries.size() == 1);
  CHECK(seen.retries[0].transparent);
}

TEST_CASE("story: a code that the policy does not list is final", "[sim][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_next({.code = status_code::not_found, .message = "no such thing"});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::not_found);
  CHECK(call.text() == "no such thing");
  CHECK(seen.denials == std::vector{retry_denial::not_retryable});
}

TEST_CASE("story: retries of a full outage stay within the budget", "[sim][retry]") {
  recorder seen;
  // 1000 calls a second, each of which would like two retries
  world world{{.pool = {.target = "a:1,b:1", .observer = &seen}, .traced = false}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable});
  world.net()["b:1"].answer_with({.code = status_code::unavailable});
  make_calls(world, 0s, 30s, 1ms);
  world.run_until(35s);
  std::size_t const calls = world.calls().size();
  std::uint64_t const attempts = world.net()["a"].received() + world.net()["b"].received();
  REQUIRE(calls == 30'000);
  // percent of the calls, and the floor of 10 a second over the run and the ttl before it
  CHECK(attempts - calls <= calls / 5 + 10 * (30 + 10));
  CHECK(attempts - calls >= calls / 5);
  CHECK(seen.denied(retry_denial::budget));
}

TEST_CASE("story: retries, hedges, attempts that never left and questions after health together stay within the budget",
          "[sim][retry][hedge][health]") {
  constexpr duration longest_call = 50ms;
  counters seen;
  arrivals received;
  world world{{.pool = {.target = "a:1,b:1,c:1,d:1",
                        .health_check = health::watch_params{.use_check = true, .check_interval = 50ms}},
               .client = {.retry = {.max_attempts = 5, .initial_backoff = 1ms, .max_backoff = 5ms},
                          .hedging = retry::hedging_policy{.max_attempts = 5, .delay = 5ms, .max_extra_load = 1}},
               .traced = false}};
  world.add(seen);
  received.watch(world);
  for (server* const one : world.net().servers()) one->health(health_answer::serving).call_takes(1ms);
  world.pool().open();
  // 1000 calls a second, of which every other one may be hedged; the budget is full when the outage comes
  make_calls(world, 1s, 25s, 2ms, {.timeout = longest_call});
  make_calls(world, 1001ms, 25s, 2ms, {.timeout = longest_call, .idempotent = true});
  world.at(15s, [&] {
    world.net()["a"].answer_with({.code = status_code::unavailable});
    world.net()["b"].answer_with({.code = status_code::unavailable, .never_left = true});
    world.net()["c"].answer_with({.after = duration::max()});
    world.net()["d"].kill();
  });
  world.at(20s, [&] {
    for (server* const one : world.net().servers()) one->up().answer_with({});
  });
  world.run_until(26s);
  REQUIRE(world.calls().size() == 24'000);
  auto const& total = seen.total();
  std::uint64_t questions = 0;
  for (server* const one : world.net().servers()) questions += one->health_questions();
  CAPTURE(total.retries, total.transparent_retries, total.hedges, questions);
  CHECK(total.retries > 100);
  CHECK(total.transparent_retries > 100);
  CHECK(total.hedges > 100);
  CHECK(questions > 1000);
  CHECK(total.retry_denied(retry_denial::budget) > 0);
  world.finish();
  CHECK_NOTHROW(received.check({}, longest_call));
}

TEST_CASE("story: a quiet pool may retry at the floor rate only", "[sim][retry]") {
  world world{{.pool = {.target = "a:1", .budget = {.percent = 0, .min_per_second = 1}}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable});
  make_calls(world, 0s, 60s, 100ms);
  world.run_until(70s);
  std::uint64_t const extra = world.net()["a"].received() - world.calls().size();
  CHECK(extra <= 1 * (60 + 10));
  CHECK(extra >= 55);
}

TEST_CASE("story: metadata goes with every attempt, and illegal metadata ends the call before the first",
          "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}}};
  server& a = world.net()["a:1"];
  std::vector<std::string> heard;
  a.on_request = [&](attempt_request const& request) {
    heard.emplace_back(request.headers.find("tenant").value_or("none"));
  };
  a.answer_next({.code = status_code::unavailable});
  auto& legal = world.call("hello", {.metadata = {{"tenant", "blue"}}});
  auto& illegal = world.call("hello", {.metadata = {{"Tenant", "blue"}}});
  world.run_calls();
  CHECK(legal.ok());
  CHECK(heard == std::vector<std::string>{"blue", "blue"});
  CHECK(illegal.code() == status_code::invalid_argument);
  CHECK(illegal.info.attempts == 0);
}

TEST_CASE("retry: a call's own policy wins over its method's and the client's, and over hedging", "[sim][retry]") {
  auto const table = std::make_shared<method_table>();
  if (GENERATE(false, true)) table->add("", "", {.retry = retry::retry_policy{.max_attempts = 1}});
  world world{{.pool = {.target = "a:1"},
               .client = {.retry = {.max_attempts = 1},
                          .hedging = retry::hedging_policy{.delay = 1ms},
                          .idempotent = true,
                          .methods = table}}};
  world.pool().open();
  world.run_until(10ms);
  server& a = world.net()["a"];
  a.answer_next({.code = status_code::aborted, .after = 50ms})
      .answer_next({.code = status_code::aborted, .after = 50ms});
  retry::retry_policy const own{
      .max_attempts = 3, .initial_backoff = 5ms, .multiplier = 1, .jitter = 0, .retryable = {status_code::aborted}};
  auto& call = world.call("hello", {.retry = &own});
  world.run_calls();
  CHECK(call.ok());
  CHECK(call.info.attempts == 3);
  CHECK(call.info.hedges == 0);
  CHECK(call.took() == 110ms);
}

TEST_CASE("retry: a call's own policy may forbid retries", "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].answer_next({.code = status_code::unavailable});
  retry::retry_policy const once{.max_attempts = 1};
  auto& call = world.call("hello", {.retry = &once});
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK(call.info.attempts == 1);
}

TEST_CASE("retry: a call whose own policy is not allowed ends, and says which field, its value and what is",
          "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}}};
  retry::retry_policy const none{.max_attempts = 0};
  auto& call = world.call("hello", {.retry = &none});
  std::optional<status> end;
  auto stream = world.client().async_server_stream(world::called(), "please", {.retry = &none});
  stream.async_finish([&](status how) { end = std::move(how); });
  world.run_calls();
  world.run_for(1s);
  CHECK(call.code() == status_code::invalid_argument);
  CHECK(call.text() == "call_options.retry.max_attempts is 0; allowed: 1 to 5");
  CHECK(call.info.origin == call_end::malformed);
  REQUIRE(end);
  CHECK(end->message == call.text());
  CHECK(world.net()["a"].received() == 0);
}
