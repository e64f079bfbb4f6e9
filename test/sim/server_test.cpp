// SPDX-License-Identifier: Apache-2.0
// Stories about endpoints that come and go.
#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;

TEST_CASE("story: an endpoint dies and returns, and no call notices", "[sim][endpoint]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  server& a = world.net()["a:1"];
  make_calls(world, 0s, 20s, 10ms);
  world.at(5s, [&] { a.kill(); });
  world.at(10s, [&] { a.up(); });
  std::uint64_t before = 0, while_dead = 0;
  world.at(5001ms, [&] { before = a.received(); });
  world.at(10s, [&] { while_dead = a.received() - before; });
  world.run_until(25s);
  CHECK(count_ok(world) == world.calls().size());
  CHECK(while_dead == 0);
  CHECK(a.received() > before + 200);
  CHECK(a.connections_made() == 2);
}

TEST_CASE("story: calls in flight on an endpoint that dies are tried again elsewhere", "[sim][endpoint]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["a:1"].call_takes(1s);
  world.net()["b:1"].call_takes(1s);
  for (int i = 0; i < 10; ++i) world.call();
  world.at(500ms, [&] { world.net()["a"].kill(); });
  world.run_calls();
  CHECK(count_ok(world) == 10);
  CHECK(world.net()["b"].received() == 10);
}

TEST_CASE("story: with every endpoint down, calls that wait get through later, others fail and say why",
          "[sim][endpoint]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["a:1"].down("Connection refused");
  world.net()["b:1"].down("No route to host");
  auto& patient = world.call("hello", {.timeout = 30s, .wait_for_ready = true});
  auto& hasty = world.call("hello", {.timeout = 30s});
  world.at(5s, [&] { CHECK_FALSE(patient.done()); });
  world.at(6s, [&] {
    world.net()["a"].up();
    world.net()["b"].up();
  });
  world.run_calls();
  CHECK(patient.ok());
  CHECK(hasty.code() == status_code::unavailable);
  CHECK(hasty.took() < 5s);
  CHECK_THAT(hasty.text(), Catch::Matchers::Contains("a:1: Connection refused") &&
                               Catch::Matchers::Contains("b:1: No route to host"));
  CHECK(hasty.info.attempts == 0);
  CHECK(hasty.info.origin == call_end::not_admitted);
}

TEST_CASE("story: an outage opens no more slots than the pool keeps", "[sim][endpoint]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .max_slots = 8, .observer = &seen}}};
  world.net()["a:1"].down();
  for (int i = 0; i < 20; ++i) world.call("hello", {.timeout = 60s, .wait_for_ready = true});
  make_calls(world, 1s, 30s, 100ms, {.timeout = 60s, .wait_for_ready = true});
  world.run_until(30s);
  for (auto const& change : seen.changes) CHECK(change.slot == 0);
  world.net()["a"].up();
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("story: a pool that keeps one slot goes on to the next endpoint when the first is down", "[sim][endpoint]") {
  world world{{.pool = {.target = "a:1,b:1,c:1", .min_slots = 1}}};
  world.net()["a:1"].down();
  world.net()["b:1"].down();
  auto& hasty = world.call("hello", {.timeout = 5s});
  world.run_calls();
  CHECK(hasty.ok());
  CHECK(hasty.info.endpoint == "c:1");
}

TEST_CASE("story: dials that fail back off by 1.6 up to the cap, and start over after a proven connection",
          "[sim][dial][T29]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1}}};
  server& a = world.net()["a:1"];
  a.down();
  world.pool().open();
  world.run_until(120s);
  auto const& dials = a.dialed_at();
  REQUIRE(dials.size() > 12);
  double expected = 0.1;
  for (std::size_t at = 1; at < dials.size(); ++at) {
    double const gap = std::chrono::duration<double>(dials[at] - dials[at - 1] - 1ms).count();
    CHECK(gap >= expected * 0.8 - 1e-6);
    CHECK(gap <= expected * 1.2 + 1e-6);
    expected = std::min(expected * 1.6, 10.0);
  }
  a.up();
  auto& proof = world.call("hello", {.timeout = 60s, .wait_for_ready = true});
  world.run_calls();
  REQUIRE(proof.ok());
  std::size_t const before = dials.size();
  time_point const death = world.loop().now();
  a.kill();
  world.run_for(1s);
  REQUIRE(dials.size() > before + 2);
  CHECK(dials[before] == death);
  CHECK(dials[before + 1] - dials[before] >= 80ms);
  CHECK(dials[before + 1] - dials[before] <= 121ms + 1ms);
}

TEST_CASE("story: a server that accepts and drops is not dialed in a tight loop", "[sim][dial]") {
  auto const slots = GENERATE(1u, 2u, 4u);
  auto const lifetime = GENERATE(0ms, 3ms, 500ms);
  CAPTURE(slots, lifetime.count());
  world world{{.pool = {.target = "a:1", .min_slots = slots, .max_slots = slots}}};
  server& a = world.net()["a:1"];
  a.accept_then_drop(lifetime);
  world.pool().open();
  world.run_until(60s);
  // alone, a slot's backoff allows about 8 dials to its cap in 20 s, and one in 10 s from then on
  CHECK(a.dialed_at().size() >= slots * 5);
  CHECK(a.dialed_at().size() <= slots * 20);
  a.up();
  auto& call = world.call("hello", {.timeout = 20s, .wait_for_ready = true});
  world.run_calls();
  CHECK(call.ok());
}

TEST_CASE("trap T25: four slots dial one endpoint one after another", "[sim][dial][T25]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}}};
  server& a = world.net()["a:1"];
  a.dial_takes(100ms);
  world.pool().open();
  world.run_until(399ms);
  CHECK(world.pool().ready() == 3);
  world.run_until(401ms);
  CHECK(world.pool().ready() == 4);
  CHECK(a.most_dials_in_flight() == 1);
  CHECK(a.connections() == 4);
}

TEST_CASE("story: slots of different endpoints dial at the same time", "[sim][dial]") {
  world world{{.pool = {.target = "a:1,b:1,c:1"}}};
  for (char const* name : {"a:1", "b:1", "c:1"}) world.net()[name].dial_takes(100ms);
  world.pool().open();
  world.run_until(101ms);
  CHECK(world.pool().ready() == 3);
}

TEST_CASE("story: a ready slot whose connection goes idle is connected again at once", "[sim][dial][T28]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1}}};
  server& a = world.net()["a:1"];
  auto& call = world.call();
  world.run_until(1s);
  REQUIRE(call.ok());
  a.go_away();
  world.run_for(2ms);
  CHECK(a.connections() == 1);
  CHECK(a.connections_made() == 2);
  CHECK(world.pool().ready() == 1);
}

TEST_CASE("story: when a call succeeds on one slot, its siblings do not wait out their backoff", "[sim][dial]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}}};
  server& a = world.net()["a:1"];
  a.down();
  world.pool().open();
  world.run_until(60s);
  a.up();
  while (world.pool().ready() == 0) world.run_for(1ms);
  CHECK(world.elapsed() < 75s);
  // that it accepts connections is no proof: a server may drop them at once
  CHECK(world.pool().ready() == 1);
  world.call();
  world.run_for(10ms);
  CHECK(world.pool().ready() == 4);
}

TEST_CASE("story: reset_backoff dials at once", "[sim][dial]") {
  world world{{.pool = {.target = "a:1", .min_slots = 2}}};
  server& a = world.net()["a:1"];
  a.accept_then_drop();
  world.pool().open();
  world.run_until(60s);
  a.up();
  world.pool().reset_backoff();
  world.run_for(3ms);
  CHECK(world.pool().ready() == 2);
}

TEST_CASE("story: a dial that hangs fails at the dial timeout", "[sim][dial]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .slot = {.dial_timeout = 3s}}}};
  world.net()["a:1"].black_hole();
  auto& call = world.call("hello", {.timeout = 30s});
  world.run_until(2999ms);
  CHECK_FALSE(call.done());
  CHECK(world.net()["a"].dialed_at().size() == 1);
  world.run_until(3500ms);
  CHECK(world.net()["a"].dialed_at().size() == 2);
  world.at(4s, [&] { world.net()["a"].up(); });
  world.run_calls();
}

TEST_CASE("story: after a GOAWAY calls in flight finish, and new ones go elsewhere", "[sim][goaway]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["a:1"].call_takes(1s);
  world.net()["b:1"].call_takes(1s);
  world.pool().open();
  world.run_until(10ms);
  for (int i = 0; i < 10; ++i) world.call();
  world.run_until(500ms);
  world.net()["a"].down().go_away();
  for (int i = 0; i < 10; ++i) world.at(600ms, [&] { world.call(); });
  world.run_calls();
  CHECK(count_ok(world) == 20);
  CHECK(world.net()["a"].received() == 5);
  CHECK(world.net()["b"].received() == 15);
  for (auto const& one : world.calls()) CHECK(one.info.attempts == 1);
}

TEST_CASE("story: after a GOAWAY of the only endpoint new calls wait for the new connection", "[sim][goaway]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1}}};
  server& a = world.net()["a:1"];
  a.call_takes(100ms).dial_takes(50ms);
  auto& proof = world.call();
  world.run_calls();
  REQUIRE(proof.ok());
  auto& old = world.call();
  world.run_for(50ms);
  a.go_away();
  world.run_for(1ms);
  auto& young = world.call();
  world.run_calls();
  CHECK(old.ok());
  CHECK(old.took() == 100ms);
  CHECK(young.ok());
  CHECK(young.took() == 149ms);
}

TEST_CASE("story: hourly watches that run out change nothing", "[sim][dial][T7]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.pool().open();
  world.run_until(100h);
  CHECK(world.pool().ready() == 1);
  CHECK(seen.changes.size() == 3);
  CHECK(world.net()["a"].connections_made() == 1);
}

TEST_CASE("world: run_calls ends with what comes last, a call or a step", "[sim]") {
  world world{{.pool = {.target = "a:1"}}};
  bool done = false;
  SECTION("a step after the last call") {
    world.at(1s, [&] { world.call(); });
    world.at(3s, [&] { done = true; });
  }
  SECTION("steps only") {
    world.at(3s, [&] { done = true; });
  }
  SECTION("a call that a step makes") {
    world.net()["a:1"].call_takes(1s);
    world.at(1s, [&] { world.call(); });
    done = true;
  }
  world.run_calls();
  CHECK(done);
  CHECK(world.elapsed() <= 3s);
  CHECK(count_ok(world) == world.calls().size());
}
