// SPDX-License-Identifier: Apache-2.0
// Stories about calls that want more than there is.
#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;

TEST_CASE("story: a burst at the start, with one slot on its way, is served by as many slots as it takes",
          "[sim][queue]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 4, .max_calls_per_slot = 10}}};
  server& a = world.net()["a:1"];
  a.call_takes(50ms);
  for (int i = 0; i < 100; ++i) world.call();
  world.run_calls();
  CHECK(count_ok(world) == 100);
  CHECK(a.connections_made() == 4);
  CHECK(world.elapsed() < 200ms);
}

TEST_CASE("story: a slot is opened only when every ready one is full, and never more than max_slots", "[sim][queue]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 3, .max_calls_per_slot = 2}}};
  server& a = world.net()["a:1"];
  a.answer_with({.after = 1s});
  world.call(), world.call();
  world.run_until(100ms);
  CHECK(a.connections() == 1);
  world.call();
  world.run_until(200ms);
  CHECK(a.connections() == 2);
  for (int i = 0; i < 7; ++i) world.call();
  world.run_until(300ms);
  CHECK(a.connections() == 3);
  CHECK(a.in_flight() == 6);
  CHECK(world.pool().snapshot().waiting == 4);
  world.run_calls();
  CHECK(count_ok(world) == 10);
  CHECK(a.connections() == 3);
}

namespace {

// whose calls take the longer the more of them a connection has beyond so many at once
void slows_beyond(server& one, std::uint32_t at_once) {
  one.call_takes(100ms);
  one.on_request = [&one, at_once](attempt_request const&) {
    double const load = static_cast<double>(one.in_flight() + 1) / (at_once * std::max(1u, one.connections()));
    one.call_takes(std::chrono::duration_cast<duration>(100ms * std::max(1.0, load)));
  };
}

}  // namespace

TEST_CASE("story: grow_at opens a slot before the others are full, and it closes when it is not needed",
          "[sim][queue]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 4, .scaling = {.grow_at = 2}}}};
  server& a = world.net()["a:1"];
  a.call_takes(1s);
  world.call(), world.call();
  world.run_until(500ms);
  CHECK(a.connections() == 1);
  world.call();
  world.run_until(600ms);
  CHECK(a.connections() == 2);
  for (int i = 0; i < 20; ++i) world.call();
  world.run_until(700ms);
  CHECK(a.connections() == 4);
  CHECK(a.in_flight() == 23);  // none of them waited for a slot
  world.run_calls();
  CHECK(count_ok(world) == 23);
  world.run_for(10min);
  CHECK(a.connections() == 1);
}

TEST_CASE("story: grow_when_slower opens a slot where calls wait for one another on a connection", "[sim][queue]") {
  double const slower = GENERATE(0.0, 2.0);
  CAPTURE(slower);
  world world{{.pool = {.target = "a:1",
                        .min_slots = 1,
                        .max_slots = 4,
                        .max_calls_per_slot = 1000,
                        .scaling = {.grow_when_slower = slower}},
               .traced = false}};
  server& a = world.net()["a:1"];
  slows_beyond(a, 2);
  make_calls(world, 0s, 10s, 200ms);
  world.run_until(10s);
  CHECK(a.connections() == 1);
  make_calls(world, 10s, 60s, 33ms, {.timeout = 60s});
  world.run_until(60s);
  CHECK((a.connections() > 1) == (slower > 0));
  CHECK((a.in_flight() < 10) == (slower > 0));
}

TEST_CASE("story: concurrency_limit finds out how many calls a server works on at once; the others wait in the pool",
          "[sim][queue]") {
  world world{{.pool = {.target = "a:1",
                        .max_slots = 1,
                        .max_calls_per_slot = 1000,
                        .concurrency_limit = concurrency_limit_params{.initial = 100}},
               .traced = false}};
  server& a = world.net()["a:1"];
  slows_beyond(a, 10);
  for (int i = 0; i < 3000; ++i) world.call("hello", {.timeout = 10min});
  world.run_until(100ms);
  CHECK(a.in_flight() == 100);
  CHECK(world.pool().snapshot().waiting == 2900);
  world.run_until(10s);
  CHECK(a.in_flight() <= 20);
  world.run_calls();
  CHECK(count_ok(world) == 3000);
  CHECK(world.elapsed() < 40s);
}

TEST_CASE("story: growth spreads over the endpoints", "[sim][queue]") {
  world world{{.pool = {.target = "a:1,b:1", .max_slots = 6, .max_calls_per_slot = 1}}};
  world.net()["a:1"].answer_with({.after = 1s});
  world.net()["b:1"].answer_with({.after = 1s});
  for (int i = 0; i < 6; ++i) world.call();
  world.run_until(500ms);
  CHECK(world.net()["a"].connections() == 3);
  CHECK(world.net()["b"].connections() == 3);
  world.run_calls();
}

TEST_CASE("story: calls that wait are served in the order they came", "[sim][queue]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}}};
  std::vector<std::string> order;
  world.net()["a:1"].call_takes(10ms).on_request = [&](attempt_request const& request) {
    order.push_back(request.payload.to_string());
  };
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back(std::to_string(i));
    world.at(i * 1ms, [&world, i] { world.call(std::to_string(i), {.wait_for_ready = i % 2 == 0}); });
  }
  world.run_until(1s);
  CHECK(order == expected);
  CHECK(count_ok(world) == 20);
}

TEST_CASE("story: one call more than may wait fails at once with RESOURCE_EXHAUSTED", "[sim][queue]") {
  recorder seen;
  world world{{.pool = {.target = "a:1",
                        .min_slots = 1,
                        .max_slots = 1,
                        .max_calls_per_slot = 1,
                        .max_waiting = 2,
                        .observer = &seen}}};
  world.net()["a:1"].call_takes(100ms);
  world.pool().open();
  world.run_until(10ms);
  for (int i = 0; i < 4; ++i) world.call();
  world.run_for(1ms);
  auto const& refused = world.calls().back();
  REQUIRE(refused.done());
  CHECK(refused.code() == status_code::resource_exhausted);
  CHECK(refused.text() == "the pool's waiting queue is full");
  CHECK(refused.info.origin == call_end::not_admitted);
  CHECK(seen.failed_picks == std::vector<std::string>{"the pool's waiting queue is full"});
  world.run_calls();
  CHECK(count_ok(world) == 3);
}

TEST_CASE("story: the observer hears of every wish that was not granted, and why", "[sim][queue]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].black_hole();
  world.call("x", {.timeout = 1s});
  auto& cancelled = world.call("x", {.timeout = 9s});
  world.pool().async_acquire({.timeout = 3s}, [](error_code, lease) {});
  world.run_until(2s);
  cancelled.cancel(cancellation_type::total);
  world.run_until(4s);
  std::vector<std::string> const expected{make_error_code(errc::timed_out).message(),
                                          make_error_code(errc::cancelled).message(),
                                          make_error_code(errc::timed_out).message()};
  CHECK(seen.failed_picks == expected);
}

TEST_CASE("story: the observer hears of a lease that came after a drain, before the drain's own turn too",
          "[sim][queue]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  error_code result;
  world.at(1s, [&] {
    world.pool().async_drain(1s, [](error_code) {});
    world.pool().async_acquire({}, [&](error_code error, lease) { result = error; });
  });
  world.run_until(2s);
  CHECK(result == make_error_code(errc::pool_closed));
  CHECK(seen.failed_picks == std::vector<std::string>{make_error_code(errc::pool_closed).message()});
}

TEST_CASE("story: thousands of calls end in one turn without starving the timers", "[sim][queue]") {
  world world{{.pool = {.target = "a:1", .max_slots = 4}}};
  world.net()["a:1"].call_takes(1s);
  for (int i = 0; i < 3000; ++i) world.call("hello", {.timeout = 2s});
  world.run_calls();
  CHECK(world.elapsed() <= 2s);
  CHECK(count_ok(world) == 400);
}
