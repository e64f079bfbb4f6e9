// SPDX-License-Identifier: Apache-2.0
// Stories about calls that are cancelled, wherever they stand, and about deadlines.
#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;

namespace {

constexpr auto total = cancellation_type::total;
constexpr auto partial = cancellation_type::partial;
constexpr auto terminal = cancellation_type::terminal;

/// One slot that carries one call, and the call that is on it.
world_params full_pool() {
  return {.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}};
}

void check_cancelled(call_record const& one, duration after) {
  REQUIRE(one.done());
  CHECK(one.code() == status_code::cancelled);
  CHECK(one.took() == after);
  CHECK(one.info.origin == call_end::cancelled);
}

void check_late(call_record const& one, duration after) {
  REQUIRE(one.done());
  CHECK(one.code() == status_code::deadline_exceeded);
  CHECK(one.took() == after);
  CHECK(one.info.origin == call_end::deadline);
}

}  // namespace

TEST_CASE("cancel: before the loop has begun the call, any depth ends it without an attempt", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  world world{{.pool = {.target = "a:1"}}};
  world.pool().open();
  world.run_until(10ms);
  auto& call = world.call();
  call.cancel(depth);
  world.run_calls();
  check_cancelled(call, 0ms);
  CHECK(world.net()["a"].received() == 0);
}

TEST_CASE("cancel: while an interceptor holds the start, any depth ends the call", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  auto const where = GENERATE(hook::start, hook::send_message);
  auto holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& call = world.call();
  world.at(1s, [&] { call.cancel(depth); });
  world.run_until(2s);
  check_cancelled(call, 1s);
  CHECK(world.net()["a"].received() == 0);
  // resuming what has ended does nothing
  holds->held.at(0).proceed();
  world.run_for(1s);
}

TEST_CASE("cancel: while the call waits for its first slot, any depth ends it", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  world world{full_pool()};
  world.net()["a:1"].answer_with({.after = 5s});
  world.call();
  auto& waits = world.call();
  world.at(1s, [&] { waits.cancel(depth); });
  world.run_until(2s);
  check_cancelled(waits, 1s);
  CHECK(world.pool().snapshot().waiting == 0);
  world.run_calls();
  CHECK(world.net()["a"].received() == 1);
}

TEST_CASE("cancel: an attempt in flight is cut off by terminal and finished otherwise", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.after = 5s});
  auto& call = world.call();
  world.at(1s, [&] { call.cancel(depth); });
  world.run_calls();
  if (depth == terminal) {
    check_cancelled(call, 1s);
  } else {
    CHECK(call.ok());
  }
}

TEST_CASE("cancel: partial lets the attempt in flight finish and makes no other; total changes nothing",
          "[sim][cancel]") {
  auto const depth = GENERATE(total, partial);
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .message = "busy", .after = 2s});
  auto& call = world.call();
  world.at(1s, [&] { call.cancel(depth); });
  world.run_calls();
  if (depth == partial) {
    CHECK(call.code() == status_code::unavailable);
    CHECK(call.text() == "busy");
    CHECK(call.info.attempts == 1);
    CHECK(seen.denials == std::vector{retry_denial::cancelled});
  } else {
    CHECK(call.ok());
    CHECK(call.info.attempts == 2);
  }
}

TEST_CASE("cancel: while the call backs off, partial and terminal end it, total does not", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .pushback = "3000"});
  auto& call = world.call();
  world.at(1s, [&] { call.cancel(depth); });
  world.run_calls();
  if (depth == total) {
    CHECK(call.ok());
  } else {
    check_cancelled(call, 1s);
  }
}

TEST_CASE("cancel: while the call waits for a slot again, partial and terminal end it, total does not",
          "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  world world{full_pool()};
  server& a = world.net()["a:1"];
  a.answer_next({.code = status_code::unavailable, .pushback = "500"}).answer_next({.after = 5s});
  auto& call = world.call();
  world.at(100ms, [&] { world.call(); });
  world.at(1s, [&] {
    CHECK(world.pool().snapshot().waiting == 1);
    call.cancel(depth);
  });
  world.run_calls();
  if (depth == total) {
    CHECK(call.ok());
  } else {
    check_cancelled(call, 1s);
  }
}

TEST_CASE("cancel: a hold of the outcome is not waited for, and the outcome stays", "[sim][cancel]") {
  auto const depth = GENERATE(total, partial, terminal);
  auto const where = GENERATE(hook::initial_metadata, hook::recv_message, hook::done);
  CAPTURE(static_cast<int>(depth), to_string(where));
  auto holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& call = world.call("hello", {.timeout = 10s});
  world.at(1s, [&] {
    CHECK_FALSE(call.done());
    call.cancel(depth);
  });
  world.run_until(2s);
  // total has no effect on a call whose attempt was made
  if (depth == total) {
    CHECK_FALSE(call.done());
    holds->held.at(0).proceed();
    world.run_for(1s);
  }
  REQUIRE(call.ok());
  CHECK(call.took() == (depth == total ? 2s : 1s));
  holds->held.clear();
  world.run_for(1ms);
}

TEST_CASE("cancel: twice and deeper is as good as deep at once", "[sim][cancel]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.after = 5s});
  auto& call = world.call();
  world.at(1s, [&] { call.cancel(total); });
  world.at(2s, [&] { call.cancel(partial); });
  world.at(3s, [&] { call.cancel(terminal), call.cancel(terminal); });
  world.run_calls();
  check_cancelled(call, 3s);
}

TEST_CASE("cancel: after the end nothing happens", "[sim][cancel]") {
  world world{{.pool = {.target = "a:1"}}};
  auto& call = world.call();
  world.run_calls();
  call.cancel(terminal);
  world.run_for(1s);
  CHECK(call.ok());
  CHECK(call.times_finished == 1);
}

TEST_CASE("deadline: a call that an interceptor holds ends on time", "[sim][deadline]") {
  auto holds = std::make_shared<holder>(GENERATE(hook::start, hook::send_message));
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& call = world.call("hello", {.timeout = 2s});
  world.run_calls();
  check_late(call, 2s);
  CHECK(world.net()["a"].received() == 0);
  // resuming what has ended does nothing
  holds->held.at(0).proceed();
  world.run_for(1s);
  CHECK(world.net()["a"].received() == 0);
}

TEST_CASE("deadline: a call that waits for a connection ends on time and says why there is none", "[sim][deadline]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down("No route to host");
  auto& call = world.call("hello", {.timeout = 2s, .wait_for_ready = true});
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.took() == 2s);
  CHECK_THAT(call.text(), Catch::Matchers::Contains("a:1: No route to host"));
}

TEST_CASE("deadline: a call that waits for room ends on time", "[sim][deadline]") {
  world world{full_pool()};
  world.net()["a:1"].answer_with({.after = 5s});
  world.call();
  auto& call = world.call("hello", {.timeout = 2s});
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.took() == 2s);
}

TEST_CASE("deadline: a call that waits for room again, after an attempt that failed, ends on time", "[sim][deadline]") {
  world world{full_pool()};
  server& a = world.net()["a:1"];
  a.answer_next({.code = status_code::unavailable, .pushback = "500"}).answer_next({.after = 5s});
  auto& call = world.call("hello", {.timeout = 2s});
  world.at(100ms, [&] { world.call(); });
  world.at(1s, [&] { CHECK(world.pool().snapshot().waiting == 1); });
  world.run_calls();
  check_late(call, 2s);
  CHECK(call.info.attempts == 1);
  CHECK(world.pool().snapshot().waiting == 0);
  CHECK(a.received() == 2);
}

TEST_CASE("deadline: an attempt in flight is cut off on time", "[sim][deadline]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.after = duration::max()});
  auto& call = world.call("hello", {.timeout = 2s});
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.took() == 2s);
  CHECK(world.net()["a"].in_flight() == 0);
}

TEST_CASE("cancel: a hook may ask for it as often as it likes", "[sim][cancel]") {
  struct insistent final : interceptor {
    hook_set hooks() const noexcept override { return {hook::recv_message}; }
    hook_result on_recv_message(call_context&, message const&) override {
      for (int n = 0; n < 100; ++n) call->cancel(terminal);
      return proceed;
    }
    call_record* call = nullptr;
  };
  auto const hooks = std::make_shared<insistent>();
  world world{{.pool = {.target = "a:1"}, .interceptors = list(hooks)}};
  hooks->call = &world.call();
  world.run_until(1s);
  CHECK(hooks->call->done());
}

TEST_CASE("deadline: one that an interceptor brings forward counts for attempts and retries too", "[sim][deadline]") {
  struct shortener final : interceptor {
    hook_set hooks() const noexcept override { return {hook::start}; }
    hook_result on_start(call_context& context) override {
      context.shorten_deadline(context.now() + 1s);
      return proceed;
    }
  };
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}, .interceptors = list(std::make_shared<shortener>())}};
  server& a = world.net()["a:1"];
  a.answer_with({.after = duration::max()});
  auto& hangs = world.call("hello", {.timeout = 60s});
  world.run_calls();
  CHECK(hangs.code() == status_code::deadline_exceeded);
  CHECK(hangs.took() == 1s);
  a.answer_with({.code = status_code::unavailable, .pushback = "5000"});
  auto& retried = world.call("hello", {.timeout = 60s});
  world.run_calls();
  CHECK(retried.code() == status_code::unavailable);
  CHECK(retried.took() == 0s);
  CHECK(seen.denials.back() == retry_denial::deadline);
}

TEST_CASE("deadline: a held outcome is delivered on time", "[sim][deadline]") {
  auto const where = GENERATE(hook::initial_metadata, hook::recv_message, hook::done);
  auto holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& call = world.call("hello", {.timeout = 2s});
  world.run_calls();
  CHECK(call.ok());
  CHECK(call.took() == 2s);
  holds->held.clear();
  world.run_for(1ms);
}

TEST_CASE("deadline: on_done of a call whose deadline ended it cannot hold it any longer", "[sim][deadline]") {
  auto holds = std::make_shared<holder>(hook::done);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  world.net()["a:1"].answer_with({.after = duration::max()});
  auto& call = world.call("hello", {.timeout = 2s});
  world.run_until(3s);
  REQUIRE(holds->held.size() == 1);
  REQUIRE(call.done());
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.took() == 2s);
  holds->held.clear();
  world.run_for(1ms);
}

TEST_CASE("deadline: a client's default counts for a call without one", "[sim][deadline]") {
  world world{{.pool = {.target = "a:1"}, .client = {.default_timeout = 3s}}};
  world.net()["a:1"].black_hole();
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.took() == 3s);
}

TEST_CASE("intercept: a held start goes on when resumed, and on_done runs once whatever happens", "[sim][intercept]") {
  auto holds = std::make_shared<holder>(hook::start);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& proceeds = world.call();
  auto& finishes = world.call();
  auto& dropped = world.call();
  world.run_until(1s);
  REQUIRE(holds->held.size() == 3);
  holds->held[0].proceed();
  holds->held[1].finish(status_code::permission_denied, "no");
  holds->held[2] = held_call{};
  world.run_calls();
  CHECK(proceeds.ok());
  CHECK(finishes.code() == status_code::permission_denied);
  CHECK(finishes.info.origin == call_end::intercepted);
  CHECK(dropped.code() == status_code::cancelled);
  CHECK(world.net()["a"].received() == 1);
}

TEST_CASE("intercept: a held outcome can be replaced", "[sim][intercept]") {
  auto holds = std::make_shared<holder>(hook::done);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& call = world.call();
  world.run_until(1s);
  holds->held.at(0).finish(status_code::data_loss, "the audit log is full");
  world.run_calls();
  CHECK(call.code() == status_code::data_loss);
}
