// SPDX-License-Identifier: Apache-2.0
// Stories about calls that are sent once more because their answer is late.
#include "support.hpp"

#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/observer_list.hpp>

#include <support/first_of_all.hpp>

#include <deque>
#include <optional>

using namespace millrace;
using namespace millrace::sim;

namespace {

retry::hedging_policy after(duration delay, unsigned max_attempts = 2) {
  return {.max_attempts = max_attempts, .delay = delay};
}

client_params hedged(retry::hedging_policy policy = after(20ms)) { return {.hedging = policy, .idempotent = true}; }

/// Two endpoints that are connected, the first of which answers when the story says so.
class pair_world {
 public:
  explicit pair_world(client_params client = hedged(), pool_params pool = {.target = "a:1,b:1"})
      : world{{.pool = with(std::move(pool)), .client = std::move(client)}} {
    world.add(seen);
    world.add(counted);
    world.pool().open();
    world.run_until(10ms);
  }

  server& a() { return world.net()["a:1"]; }
  server& b() { return world.net()["b:1"]; }
  server& asked_first() { return a().received() > 0 ? a() : b(); }
  counters::totals const& total() const { return counted.total(); }

  recorder seen;
  counters counted;
  sim::world world;

 private:
  static pool_params with(pool_params pool) {
    pool.make_picker = test::first_of_all::make;  // a comes first, unless it is avoided
    return pool;
  }
};

}  // namespace

TEST_CASE("hedge: a late answer is overtaken by another endpoint's, and the loser is cut off", "[sim][hedge]") {
  pair_world story;
  story.a().call_takes(5s);
  story.b().call_takes(3ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
  CHECK(call.took() == 23ms);
  CHECK(call.info.attempts == 2);
  CHECK(call.info.hedges == 1);
  CHECK(call.info.hedge_won);
  CHECK(call.info.endpoint == "b:1");
  story.world.run_for(1ms);
  CHECK(story.a().in_flight() == 0);
  CHECK(story.total().hedges == 1);
  CHECK(story.total().hedge_wins == 1);
  CHECK(story.counted.endpoint("a:1").finished[1] == 1);  // CANCELLED
  CHECK(story.world.pool().snapshot().in_flight == 0);
}

TEST_CASE("hedge: an answer in time needs none", "[sim][hedge]") {
  pair_world story;
  story.a().call_takes(19ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.took() == 19ms);
  CHECK(call.info.hedges == 0);
  CHECK(story.b().received() == 0);
}

TEST_CASE("hedge: the first attempt may still win", "[sim][hedge]") {
  pair_world story;
  story.a().call_takes(30ms);
  story.b().call_takes(1s);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "a:1: hello");
  CHECK(call.took() == 30ms);
  CHECK(call.info.hedges == 1);
  CHECK_FALSE(call.info.hedge_won);
  CHECK(story.total().hedge_wins == 0);
}

TEST_CASE("hedge: a call that is not declared idempotent is sent once", "[sim][hedge]") {
  pair_world story({.hedging = after(20ms)});
  story.a().call_takes(100ms);
  auto& plain = story.world.call();
  auto& declared = story.world.call("hello", {.idempotent = true});
  story.world.run_calls();
  CHECK(plain.info.hedges == 0);
  CHECK(declared.info.hedges == 1);
}

TEST_CASE("hedge: a call may say that it is not idempotent although its client's are", "[sim][hedge]") {
  pair_world story;
  story.a().call_takes(100ms);
  auto& call = story.world.call("hello", {.idempotent = false});
  story.world.run_calls();
  CHECK(call.info.hedges == 0);
}

TEST_CASE("hedge: the server hears how many attempts went before", "[sim][hedge]") {
  pair_world story;
  std::vector<unsigned> heard;
  for (auto* const one : {&story.a(), &story.b()}) {
    one->on_request = [&](attempt_request const& request) { heard.push_back(request.previous_attempts); };
    one->call_takes(50ms);
  }
  story.world.call();
  story.world.run_calls();
  CHECK(heard == std::vector<unsigned>{0, 1});
}

TEST_CASE("hedge: a failure that is not fatal sends the next at once", "[sim][hedge]") {
  pair_world story(hedged(after(20ms, 3)));
  story.a().answer_next({.after = 5s}).call_takes(1ms);
  story.b().answer_with({.code = status_code::unavailable, .after = 5ms});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.took() == 26ms);  // 20 to the hedge, 5 to its failure, 1 for the third
  CHECK(call.info.attempts == 3);
}

TEST_CASE("hedge: a failure of the only attempt is followed by another one at once", "[sim][hedge]") {
  pair_world story;
  story.a().answer_with({.code = status_code::unavailable, .after = 5ms});
  story.b().call_takes(1ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
  CHECK(call.took() == 6ms);
}

TEST_CASE("hedge: when all fail the call ends as the last did", "[sim][hedge]") {
  pair_world story;
  story.a().answer_with({.code = status_code::unavailable, .message = "a", .after = 50ms});
  story.b().answer_with({.code = status_code::unavailable, .message = "b", .after = 50ms});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "b");
  CHECK(call.took() == 70ms);
  CHECK(story.seen.denials == std::vector{retry_denial::attempts});
}

TEST_CASE("hedge: a fatal failure ends the call and cuts the others off", "[sim][hedge]") {
  pair_world story;
  story.a().call_takes(5s);
  story.b().answer_with({.code = status_code::not_found, .message = "no such thing", .after = 5ms});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.code() == status_code::not_found);
  CHECK(call.took() == 25ms);
  story.world.run_for(1ms);
  CHECK(story.a().in_flight() == 0);
}

TEST_CASE("hedge: pushback is waited for, and a negative one is obeyed", "[sim][hedge]") {
  pair_world story(hedged(after(20ms, 3)));
  story.a().answer_next({.after = 200ms}).call_takes(1ms);
  SECTION("waited for") {
    story.b().answer_with({.code = status_code::unavailable, .after = 5ms, .pushback = "70"});
    auto& call = story.world.call();
    story.world.run_calls();
    CHECK(call.took() == 96ms);
    CHECK(call.info.attempts == 3);
  }
  SECTION("obeyed") {
    story.b().answer_with({.code = status_code::unavailable, .after = 5ms, .pushback = "-1"});
    auto& call = story.world.call();
    story.world.run_calls();
    CHECK(call.took() == 200ms);
    CHECK(call.info.attempts == 2);
  }
  SECTION("beyond the deadline: no hedge follows, the one that was due neither") {
    story.b().answer_with({.code = status_code::unavailable, .after = 5ms, .pushback = "70"});
    auto& call = story.world.call("hello", {.timeout = 60ms});
    story.world.run_calls();
    CHECK(call.code() == status_code::deadline_exceeded);
    CHECK(call.info.attempts == 2);
  }
}

TEST_CASE("hedge: without room at once there is none, and it does not queue", "[sim][hedge]") {
  pair_world story(hedged(), {.target = "a:1,b:1", .max_slots = 2, .max_calls_per_slot = 1});
  story.a().call_takes(100ms);
  story.b().call_takes(100ms);
  auto& one = story.world.call();
  auto& other = story.world.call();
  story.world.run_calls();
  CHECK(one.ok());
  CHECK(other.ok());
  CHECK(story.total().hedges == 0);
  CHECK(story.total().hedges_skipped(hedge_skip::no_room) == 2);
}

TEST_CASE("hedge: with one endpoint it goes to another slot, or to the same one", "[sim][hedge]") {
  auto const slots = GENERATE(1u, 2u);
  recorder seen;
  world world{
      {.pool = {.target = "a:1", .min_slots = slots, .max_slots = slots, .observer = &seen}, .client = hedged()}};
  world.pool().open();
  world.run_until(10ms);
  world.net()["a:1"].answer_next({.after = 1s}).call_takes(1ms);
  auto& call = world.call();
  world.run_calls();
  CHECK(call.took() == 21ms);
  REQUIRE(seen.attempts.size() == 2);
  CHECK((seen.attempts[0].slot != seen.attempts[1].slot) == (slots == 2));
}

TEST_CASE("hedge: an empty budget of the pool allows none", "[sim][hedge]") {
  pair_world story(hedged(), {.target = "a:1,b:1", .budget = {.percent = 0, .min_per_second = 0}});
  story.a().call_takes(100ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.took() == 100ms);
  CHECK(story.total().hedges_skipped(hedge_skip::budget) == 1);
}

TEST_CASE("hedge: no more than the share of the calls that the policy allows", "[sim][hedge]") {
  retry::hedging_policy policy = after(20ms);
  policy.max_extra_load = 0.1;
  policy.min_per_second = 0;
  pair_world story(hedged(policy));
  story.a().call_takes(50ms);
  story.b().call_takes(50ms);
  make_calls(story.world, 10ms, 10s, 5ms);
  story.world.run_calls();
  auto const calls = story.world.calls().size();
  CHECK(story.total().hedges >= calls * 9 / 100);
  CHECK(story.total().hedges <= calls / 10);
  CHECK(story.total().hedges_skipped(hedge_skip::extra_load) > 0);
}

TEST_CASE("hedge: a percentile of recent latency says when, once enough is known", "[sim][hedge]") {
  retry::hedging_policy policy;
  policy.percentile = 90;
  policy.max_extra_load = 1;
  pair_world story(hedged(policy));
  story.a().call_takes(10ms);
  story.b().call_takes(10ms);
  story.a().answer_next({.after = 300ms});
  auto& early = story.world.call();
  story.world.run_calls();
  CHECK(early.took() == 300ms);  // nothing is known yet
  make_calls(story.world, 1s, 3s, 10ms);
  story.world.run_calls();
  story.world.run_until(5s);
  story.a().answer_next({.after = 300ms});
  auto& late = story.world.call();
  story.world.run_calls();
  CHECK(late.info.hedge_won);
  CHECK(late.took() >= 19ms);
  CHECK(late.took() <= 22ms);
}

TEST_CASE("hedge: a first attempt that a hedge's fatal failure cuts off says nothing of how long an answer takes",
          "[sim][hedge]") {
  retry::hedging_policy policy;
  policy.max_extra_load = 1;
  pair_world story(hedged(policy));
  story.a().call_takes(100ms);
  make_calls(story.world, 1s, 4s, 20ms);
  story.world.run_until(5s);
  story.a().call_takes(10s);
  story.b().answer_with({.code = status_code::not_found, .after = 1ms});
  make_calls(story.world, 5s, 35s, 50ms, {.timeout = 1s});
  story.world.run_until(30s);
  auto const before = story.total().hedges;
  CHECK(before > 100);
  story.world.run_until(35s);
  CHECK(story.total().hedges == before);  // what was known has been forgotten
}

TEST_CASE("hedge: methods without a number share what their hedges may add, however many names there are",
          "[sim][hedge]") {
  retry::hedging_policy policy = after(20ms);
  policy.max_extra_load = 0;
  policy.min_per_second = 1;
  pair_world story(hedged(policy));
  story.a().call_takes(50ms);
  std::deque<method> names;
  for (int n = 0; n < 40; ++n) {
    auto const& name = names.emplace_back(method::unnumbered("/from.the/Wire" + std::to_string(n)));
    story.world.client().async_call(name, "hello", {}, [](call_result) {});
  }
  story.world.run_for(1s);
  CHECK(story.total().hedges == 10);
  auto& numbered = story.world.call();
  story.world.run_calls();
  CHECK(numbered.info.hedges == 1);
}

TEST_CASE("hedge: a call_info that was used before is filled in anew", "[sim][hedge]") {
  pair_world story;
  call_info info;
  auto const call = [&](call_options options = {}) {
    options.info = &info;
    story.world.client().async_call(world::called(), "hello", options, [](call_result) {});
    story.world.run_for(1s);
  };
  story.a().answer_next({.after = 500ms}).answer_next({.after = 500ms});
  call();
  call();
  CHECK(info.hedges == 1);
  CHECK(info.endpoint == "b:1");
  call({.metadata = {{"Illegal", ""}}});
  CHECK(info.origin == call_end::malformed);
  CHECK(info.hedges == 0);
  CHECK_FALSE(info.hedge_won);
  CHECK(info.endpoint.empty());
  CHECK_FALSE(info.slot);
}

TEST_CASE("hedge: an endpoint whose attempts lose is not thought to fail", "[sim][hedge]") {
  pair_world story(hedged(), {.target = "a:1,b:1",
                              .accrual = health::accrual_params{.consecutive_failures = 1},
                              .outlier = health::outlier_params{.interval = 1s}});
  story.a().call_takes(1s);
  make_calls(story.world, 10ms, 3s, 100ms);
  story.world.run_calls();
  CHECK(story.counted.endpoint("a:1").finished[1] > 10);
  CHECK(story.counted.endpoint("a:1").ejections == 0);
}

TEST_CASE("hedge: cancelled, out of time, drained, without its pool or its loop: a hedged call ends once",
          "[sim][hedge]") {
  enum class fate { cancel, deadline, drain, destroy, stop };
  auto const [what, code] = GENERATE(table<fate, status_code>({{fate::cancel, status_code::cancelled},
                                                               {fate::deadline, status_code::deadline_exceeded},
                                                               {fate::drain, status_code::unavailable},
                                                               {fate::destroy, status_code::unavailable},
                                                               {fate::stop, status_code::unavailable}}));
  // before the hedge at 20 ms; while both are out; when the loser has been cut off at 60 ms and its tag is on the way; after
  for (duration when = 0ms; when <= 70ms; when += 1ms) {
    CAPTURE(static_cast<int>(what), when / 1ms);
    pair_world story;
    story.a().call_takes(5s);
    story.b().call_takes(40ms);
    auto& call = story.world.call("hello", {.timeout = what == fate::deadline ? when + 1ns : 10s});
    story.world.after(when, [&, end = what] {
      switch (end) {
        case fate::cancel: return call.cancel(cancellation_type::terminal);
        case fate::deadline: return;
        case fate::drain: story.world.drain(0s); return;
        case fate::destroy: return story.world.destroy_pool();
        case fate::stop: static_cast<void>(story.world.stop()); return;
      }
    });
    story.world.run_until(1s);
    REQUIRE(call.done());
    CHECK(call.times_finished == 1);
    if (when < 60ms) {
      CHECK(call.code() == code);
      CHECK(call.took() <= when + 1ns);
    } else if (when > 60ms) {
      CHECK(call.ok());
    }
  }
}

TEST_CASE("hedge: of attempts that are back only the outcome's is kept while others are in flight", "[sim][hedge]") {
  pair_world story(hedged(after(20ms, 3)));
  story.a().answer_next({.code = status_code::unavailable, .after = 30ms}).call_takes(1s);  // the first, and the third
  story.b().answer_with({.code = status_code::unavailable, .after = 40ms});
  auto& call = story.world.call();
  story.world.run_for(50ms);  // the first is back
  CHECK(story.world.net().live_attempts() == 3);
  story.world.run_for(50ms);  // and the second
  CHECK(story.world.net().live_attempts() == 2);
  story.world.run_calls();
  CHECK(call.ok());
}

TEST_CASE("hedge: an endpoint that is drained takes its own attempt, and the call goes on with the others",
          "[sim][hedge][drain]") {
  pair_world story(hedged(after(20ms, 2)), {.target = "a:1,b:1", .outlier = health::outlier_params{.interval = 1s}});
  story.a().call_takes(5s);
  story.b().call_takes(40ms);
  auto& call = story.world.call();
  std::optional<error_code> drained;
  auto const drain = [&](char const* name) {
    story.world.pool().async_drain_endpoint(name, 0s, [&](error_code error) { drained = error; });
  };
  SECTION("first the one, while the hedge is out") {
    story.world.after(30ms, [&] { drain("a:1"); });
    SECTION("which wins") {
      story.world.run_calls();
      CHECK(call.text() == "b:1: hello");
      CHECK(call.took() == 60ms);
    }
    SECTION("which fails") {
      story.b().answer_with({.code = status_code::unavailable, .message = "busy", .after = 40ms});
      story.world.run_calls();
      CHECK(call.text() == "busy");
    }
    SECTION("which goes the same way, before or after the first is back") {
      story.world.after(GENERATE(30ms, 31ms), [&] { drain("b:1"); });
      story.world.run_calls();
      CHECK(call.code() == status_code::unavailable);
      CHECK(call.info.origin == call_end::revoked);
    }
    CHECK(story.a().in_flight() == 0);
  }
  SECTION("the only one") {
    story.world.after(10ms, [&] { drain("a:1"); });
    story.world.run_calls();
    CHECK(call.code() == status_code::unavailable);
    CHECK(call.info.origin == call_end::revoked);
    CHECK(call.took() == 10ms);
  }
  story.world.run_for(1s);
  CHECK(drained);
  CHECK(story.counted.endpoint("a:1").finished[1] == 1);  // CANCELLED: not its failure
}

TEST_CASE("hedge: a partial cancellation allows no further attempt, and keeps those in flight", "[sim][hedge]") {
  pair_world story(hedged(after(20ms, 3)));
  story.a().call_takes(100ms);
  story.b().call_takes(1s);
  auto& call = story.world.call();
  story.world.after(30ms, [&] { call.cancel(cancellation_type::partial); });
  story.world.run_calls();
  CHECK(call.took() == 100ms);
  CHECK(call.info.attempts == 2);
}

TEST_CASE("hedge: an interceptor that holds the winner's answer holds nobody else", "[sim][hedge]") {
  auto holds = std::make_shared<holder>(hook::done);
  world world{{.pool = {.target = "a:1,b:1", .make_picker = test::first_of_all::make},
               .client = hedged(),
               .interceptors = list(holds)}};
  world.pool().open();
  world.run_until(10ms);
  world.net()["a:1"].call_takes(5s);
  auto& call = world.call();
  world.run_for(100ms);
  CHECK_FALSE(call.done());
  CHECK(world.net()["a:1"].in_flight() == 0);
  holds->held.at(0).proceed();
  world.run_for(1ms);
  CHECK(call.ok());
}

TEST_CASE("hedge: a method's settings say whether, and its retry policy stands in for the client's hedging",
          "[sim][hedge]") {
  auto const table = std::make_shared<method_table>();
  method_config config;
  SECTION("hedged by the method") {
    config.hedging = after(10ms);
    config.idempotent = true;
    table->add("", "", config);
    pair_world story({.methods = table});
    story.a().call_takes(100ms);
    auto& call = story.world.call();
    story.world.run_calls();
    CHECK(call.took() == 10ms);
  }
  SECTION("retried by the method") {
    config.retry = retry::retry_policy{};
    table->add("", "", config);
    client_params params = hedged();
    params.methods = table;
    pair_world story(params);
    story.a().call_takes(100ms);
    auto& call = story.world.call();
    story.world.run_calls();
    CHECK(call.took() == 100ms);
  }
}

// ---- the time of an attempt

TEST_CASE("retry: an attempt that takes longer than it may is cut off and made again elsewhere", "[sim][retry]") {
  pair_world story({.retry = {.initial_backoff = 1ms, .jitter = 0, .per_attempt_timeout = 50ms}});
  story.a().call_takes(5s);
  story.b().call_takes(2ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
  CHECK(call.took() == 53ms);
  CHECK(story.counted.endpoint("a:1").finished[4] == 1);  // DEADLINE_EXCEEDED
}

TEST_CASE("retry: the last attempt that takes too long ends the call with DEADLINE_EXCEEDED", "[sim][retry]") {
  pair_world story({.retry = {.max_attempts = 2, .initial_backoff = 1ms, .jitter = 0, .per_attempt_timeout = 50ms}});
  story.a().call_takes(5s);
  story.b().call_takes(5s);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.text() == "no answer within per_attempt_timeout");
  CHECK(call.took() == 101ms);
  CHECK(call.info.origin == call_end::attempt);
}

TEST_CASE("retry: an attempt whose time is the call's is not thought to have outlasted its own, as the one before did",
          "[sim][retry]") {
  pair_world story({.retry = {.initial_backoff = 1ms, .jitter = 0, .per_attempt_timeout = 50ms}});
  story.a().call_takes(5s);
  SECTION("cancelled by the server") {
    story.b().answer_with({.code = status_code::cancelled, .message = "mine", .after = 5ms});
    auto& call = story.world.call("hello", {.timeout = 80ms});
    story.world.run_calls();
    CHECK(call.code() == status_code::cancelled);
    CHECK(call.text() == "mine");
    CHECK(call.info.attempts == 2);
  }
  SECTION("cancelled by the caller") {
    story.b().call_takes(5s);
    auto& call = story.world.call("hello", {.timeout = 80ms});
    story.world.after(60ms, [&] { call.cancel(cancellation_type::terminal); });
    story.world.run_calls();
    CHECK(call.info.origin == call_end::cancelled);
    CHECK(story.counted.endpoint("b:1").finished[1] == 1);  // CANCELLED
    CHECK(story.counted.endpoint("b:1").finished[4] == 0);  // DEADLINE_EXCEEDED
  }
}

TEST_CASE("retry: the server sees an attempt's own deadline", "[sim][retry]") {
  pair_world story({.retry = {.per_attempt_timeout = 50ms}});
  std::vector<duration> left;
  story.a().on_request = [&](attempt_request const& request) {
    left.push_back(request.deadline - story.world.loop().now());
  };
  story.world.call();
  story.world.call("hello", {.timeout = 30ms});
  story.world.run_calls();
  CHECK(left == std::vector<duration>{50ms, 30ms});
}

TEST_CASE("retry: DEADLINE_EXCEEDED in the server's own words is not the attempt's time", "[sim][retry]") {
  pair_world story({.retry = {.per_attempt_timeout = 50ms}});
  story.a().answer_with({.code = status_code::deadline_exceeded, .message = "mine", .after = 5ms});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "mine");
  CHECK(call.info.attempts == 1);
}

TEST_CASE("hedge: an attempt that takes longer than it may sends the next at once", "[sim][hedge]") {
  client_params params = hedged(after(5s));
  params.retry.per_attempt_timeout = 50ms;
  pair_world story(params);
  story.a().call_takes(10s);
  story.b().call_takes(2ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.took() == 52ms);
}

TEST_CASE("retry: a call whose time is up before it starts reaches no server", "[sim][retry]") {
  auto holds = std::make_shared<holder>(hook::start);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  world.pool().open();
  world.run_until(10ms);
  auto& call = world.call("hello", {.timeout = 10ms});
  world.run_for(10ms);
  REQUIRE_FALSE(holds->held.empty());
  holds->held.at(0).proceed();
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.info.attempts == 0);
  CHECK(world.net()["a:1"].received() == 0);
}

TEST_CASE("retry: a deadline that an interceptor puts into the past sends nothing", "[sim][retry]") {
  struct hurry final : interceptor {
    hook_result on_start(call_context& context) override {
      context.shorten_deadline(context.now());
      return proceed;
    }
  };
  world world{{.pool = {.target = "a:1"}, .interceptors = list(std::make_shared<hurry>())}};
  world.pool().open();
  world.run_until(10ms);
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.info.attempts == 0);
  CHECK(world.net()["a:1"].received() == 0);
}

TEST_CASE("retry: a method whose calls have no time sends nothing", "[sim][retry]") {
  auto const table = std::make_shared<method_table>();
  table->add("", "", {.timeout = 0s});
  world world{{.pool = {.target = "a:1"}, .client = {.methods = table}}};
  world.pool().open();
  world.run_until(10ms);
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(world.net()["a:1"].received() == 0);
}

// ---- a rule of the user's

TEST_CASE("retry: a rule of one's own sees trailers and decides when the next attempt is made", "[sim][retry]") {
  std::vector<retry::failed_attempt> asked;
  std::vector<std::string> said;
  pair_world story(
      {.retry = {.max_attempts = 4, .rule = [&](retry::failed_attempt const& after) -> std::optional<duration> {
                   asked.push_back(after);
                   said.emplace_back(after.trailers.find("retry-in").value_or(""));
                   if (said.back().empty()) return std::nullopt;
                   return std::chrono::milliseconds(std::stoi(said.back()));
                 }}});
  answer busy{.code = status_code::resource_exhausted, .after = 5ms};
  busy.trailers = {{"retry-in", "30"}};
  story.a().answer_with(busy);
  story.b().answer_with({.code = status_code::resource_exhausted, .after = 1ms});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.code() == status_code::resource_exhausted);
  CHECK(call.took() == 36ms);
  CHECK(said == std::vector<std::string>{"30", ""});
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].attempts == 1);
  CHECK(asked[0].elapsed == 5ms);
  CHECK(asked[1].attempts == 2);
  CHECK(asked[1].elapsed == 36ms);
}
