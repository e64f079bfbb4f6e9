// SPDX-License-Identifier: Apache-2.0
// Stories about cancelling, deadlines, drains and ends.
#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;

namespace {

/// Where a call stands when the story does something to it.
enum class standing { held_at_start, queued, attempting, backing_off, held_at_end };

constexpr standing standings[] = {standing::held_at_start, standing::queued, standing::attempting,
                                  standing::backing_off, standing::held_at_end};

/// A world with one call that stands there for ever unless something is done to it.
struct stage {
  explicit stage(standing where, duration timeout = 50s)
      : hold(std::make_shared<holder>(where == standing::held_at_end ? hook::done : hook::start)),
        world{{.pool = {.target = "a:1", .max_slots = 1},
               .client = {.retry = {.initial_backoff = 30s, .max_backoff = 30s}},
               .interceptors = holds(where) ? list(hold) : std::vector<std::shared_ptr<interceptor>>{}}} {
    endpoint& a = world.net()["a:1"];
    if (where == standing::queued) a.black_hole();
    if (where == standing::attempting) a.answer_with({.after = duration::max()});
    if (where == standing::backing_off) a.answer_next({.code = status_code::unavailable});
    record = &world.call("hello", {.timeout = timeout});
    world.run_for(1s);
    REQUIRE_FALSE(record->done());
  }
  ~stage() { hold->held.clear(); }

  static bool holds(standing where) { return where == standing::held_at_start || where == standing::held_at_end; }

  std::shared_ptr<holder> hold;
  sim::world world;
  call_record* record = nullptr;
};

}  // namespace

TEST_CASE("story: terminal cancellation ends a call wherever it stands", "[sim][cancel]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    stage one(where);
    one.record->cancel(cancellation_type::terminal);
    one.world.run_for(1ms);
    REQUIRE(one.record->done());
    CHECK(one.world.pool().snapshot().waiting == 0);
    // what has its outcome keeps it: the interceptor that holds it is not waited for
    CHECK(one.record->code() == (where == standing::held_at_end ? status_code::ok : status_code::cancelled));
  }
}

TEST_CASE("story: partial cancellation ends a call that waits, and lets an attempt in flight be the last",
          "[sim][cancel]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    stage one(where);
    one.record->cancel(cancellation_type::partial);
    one.world.run_for(1ms);
    CHECK(one.record->done() == (where != standing::attempting));
  }
}

TEST_CASE("story: after partial cancellation a failed attempt is not repeated", "[sim][cancel]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable, .after = 1s});
  auto& call = world.call("hello", {.timeout = 20s});
  world.run_until(500ms);
  call.cancel(cancellation_type::partial);
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK(world.net()["a:1"].received() == 1);
}

TEST_CASE("story: total cancellation ends a call only before its first attempt", "[sim][cancel]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    stage one(where);
    one.record->cancel(cancellation_type::total);
    one.world.run_for(1ms);
    bool const untouched = where == standing::held_at_start || where == standing::queued;
    CHECK(one.record->done() == untouched);
  }
}

TEST_CASE("story: the deadline ends a call wherever it stands, to the moment", "[sim][deadline]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    // a call whose next attempt would start after its deadline does not wait for it
    if (where == standing::backing_off) continue;
    stage one(where, 5s);
    one.world.run_for(10s);
    REQUIRE(one.record->done());
    if (where != standing::held_at_end) CHECK(one.record->code() == status_code::deadline_exceeded);
    CHECK(one.record->took() == 5s);
  }
}

TEST_CASE("story: a pool that is destroyed ends its calls wherever they stand, from the loop", "[sim][end]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    stage one(where);
    one.world.destroy_pool();
    CHECK_FALSE(one.record->done());  // nothing of a user's runs in a destructor
    one.world.run_for(1ms);
    REQUIRE(one.record->done());
    CHECK(one.record->code() == (where == standing::held_at_end ? status_code::ok : status_code::unavailable));
  }
}

TEST_CASE("story: a loop that stops ends its calls wherever they stand", "[sim][end]") {
  for (standing const where : standings) {
    CAPTURE(static_cast<int>(where));
    stage one(where);
    stop_report const report = one.world.stop(1s);
    CHECK(report.finished);
    CHECK(one.record->done());
    CHECK(one.record->times_finished == 1);
  }
}

TEST_CASE("story: a drain under load lets calls finish, refuses new ones, and ends with the last", "[sim][drain]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["a:1"].call_takes(2s);
  world.net()["b:1"].call_takes(2s);
  for (int at = 0; at < 20; ++at) world.call("hello", {.timeout = 10s});
  std::optional<error_code> const* result = nullptr;
  world.at(1s, [&] { result = &world.drain(5s); });
  world.at(1100ms, [&] { world.call("late", {.timeout = 10s}); });
  world.run_until(1500ms);
  CHECK(world.calls().back().code() == status_code::unavailable);
  world.run_until(3s);
  REQUIRE((result != nullptr && result->has_value()));
  CHECK_FALSE(**result);
  CHECK(count_ok(world) == 20);
  CHECK(world.net()["a:1"].connections() + world.net()["b:1"].connections() == 0);
}

TEST_CASE("story: what outlasts the grace of a drain is cut off, and the drain says so", "[sim][drain]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_with({.after = duration::max()});
  for (int at = 0; at < 5; ++at) world.call("hello", {.timeout = 60s});
  world.run_until(1s);
  auto const& result = world.drain(3s);
  world.run_until(4s + 1ms);
  REQUIRE(result.has_value());
  CHECK(*result == make_error_code(errc::timed_out));
  REQUIRE(seen.drains.size() == 1);
  CHECK(seen.drains[0].revoked == 5);
  CHECK(seen.drains[0].elapsed == 3s);
  for (auto const& one : world.calls()) CHECK(one.code() == status_code::unavailable);
}

TEST_CASE("story: waiters are refused when a drain begins", "[sim][drain]") {
  world world{{.pool = {.target = "a:1", .max_slots = 1, .max_calls_per_slot = 1}}};
  world.net()["a:1"].call_takes(2s);
  auto& served = world.call("hello", {.timeout = 10s});
  auto& waiting = world.call("hello", {.timeout = 10s});
  world.run_until(1s);
  world.drain(5s);
  world.run_until(1s + 1ms);
  CHECK(waiting.code() == status_code::unavailable);
  world.run_calls();
  CHECK(served.ok());
}

TEST_CASE("story: calls made after the pool has gone are refused, not lost", "[sim][end]") {
  world world{{.pool = {.target = "a:1"}}};
  world.destroy_pool();
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
}

TEST_CASE("story: a full outage costs no more than the budget allows", "[sim][retry]") {
  world world{{.pool = {.target = "a:1"}, .client = {.retry = {.max_attempts = 5}}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable});
  make_calls(world, 0s, 60s, 5ms, {.timeout = 10s});
  world.run_until(75s);
  double const calls = static_cast<double>(world.calls().size());
  double const attempts = static_cast<double>(world.net()["a:1"].received());
  // 20 % of the calls, ten a second, and the window that the budget rounds by
  CHECK(attempts <= calls * 1.2 + 10 * 75 + 0.2 * 200 * 1.1);
  CHECK(attempts >= calls * 1.1);
}
