// SPDX-License-Identifier: Apache-2.0
// Stories about waiting for a pool, and about leases.
#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;

namespace {

/// What an asynchronous operation of a pool came to, and when.
struct outcome {
  explicit outcome(world& in) : world_(in) {}

  void ready(ready_params wanted) {
    world_.pool().async_ready(wanted,
                              boost::asio::bind_cancellation_slot(signal.slot(), [this](error_code e) { set(e); }));
  }
  void acquire(duration timeout, bool wait_for_ready = false) {
    world_.pool().async_acquire({.timeout = timeout, .wait_for_ready = wait_for_ready},
                                boost::asio::bind_cancellation_slot(signal.slot(), [this](error_code e, lease l) {
                                  set(e);
                                  got = std::move(l);
                                }));
  }
  void set(error_code e) {
    CHECK_FALSE(error);
    error = e;
    at = world_.elapsed();
  }
  bool is(errc value) const { return error && *error == value; }
  bool succeeded() const { return error && !*error; }

  world& world_;
  boost::asio::cancellation_signal signal;
  std::optional<error_code> error;
  duration at{};
  lease got;
};

}  // namespace

TEST_CASE("async_ready: completes when that many slots are ready, and opens them", "[sim][ready]") {
  world world{{.pool = {.target = "a:1", .max_slots = 4}}};
  world.net()["a:1"].dial_takes(100ms);
  outcome one(world), three(world);
  one.ready({});
  three.ready({.min_ready = 3});
  CHECK_FALSE(one.error);
  world.run_until(1s);
  CHECK(one.succeeded());
  CHECK(one.at == 100ms);
  CHECK(three.succeeded());
  CHECK(three.at == 300ms);
  CHECK(world.pool().ready() == 3);
  outcome again(world);
  again.ready({.min_ready = 3});
  world.run_for(1ms);
  CHECK(again.succeeded());
}

TEST_CASE("async_ready: times out, keeps trying, and succeeds later", "[sim][ready]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down();
  outcome early(world), late(world);
  early.ready({.timeout = 2s});
  late.ready({.timeout = 60s});
  world.at(10s, [&] { world.net()["a"].up(); });
  world.run_until(60s);
  CHECK(early.is(errc::timed_out));
  CHECK(early.at == 2s);
  CHECK(late.succeeded());
}

TEST_CASE("async_ready: more than max_slots is out_of_range, a closed pool pool_closed", "[sim][ready]") {
  world world{{.pool = {.target = "a:1", .max_slots = 2}}};
  outcome too_many(world);
  too_many.ready({.min_ready = 3});
  CHECK_FALSE(too_many.error);
  world.run_for(1ms);
  CHECK(too_many.is(errc::out_of_range));
  world.net()["a:1"].down();
  outcome waits(world), closed(world);
  waits.ready({.min_ready = 2, .timeout = 60s});
  world.run_for(1s);
  world.drain(1s);
  closed.ready({});
  world.run_for(1ms);
  CHECK(waits.is(errc::pool_closed));
  CHECK(closed.is(errc::pool_closed));
}

TEST_CASE("async_ready: is cancelled, and ends with its pool", "[sim][ready]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down();
  outcome cancelled(world), orphaned(world);
  cancelled.ready({.timeout = 60s});
  orphaned.ready({.timeout = 60s});
  world.at(1s, [&] { cancelled.signal.emit(cancellation_type::total); });
  world.at(2s, [&] { world.destroy_pool(); });
  world.run_until(3s);
  CHECK(cancelled.is(errc::cancelled));
  CHECK(cancelled.at == 1s);
  CHECK(orphaned.is(errc::pool_closed));
}

TEST_CASE("async_acquire: gives a lease that counts as a call until it is released", "[sim][lease]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}}};
  world.net()["a:1"];
  outcome first(world), second(world);
  first.acquire(1s);
  second.acquire(10s);
  world.run_until(2s);
  REQUIRE(first.succeeded());
  REQUIRE(first.got);
  CHECK(first.got.endpoint() == "a:1");
  CHECK(first.got.slot_number() == 0);
  CHECK_FALSE(first.got.revoked());
  CHECK_FALSE(second.error);
  CHECK(world.pool().snapshot().in_flight == 1);
  first.got.release(status_code::ok);
  CHECK_FALSE(first.got);
  CHECK_FALSE(second.error);
  world.run_for(1ms);
  REQUIRE(second.succeeded());
  second.got = lease{};
  CHECK(world.pool().snapshot().in_flight == 0);
}

TEST_CASE("async_acquire: times out, is cancelled, and leaves the queue", "[sim][lease]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}}};
  world.net()["a:1"];
  outcome holds(world), late(world), cancelled(world);
  holds.acquire(1s);
  late.acquire(3s);
  cancelled.acquire(3s);
  world.at(2s, [&] { cancelled.signal.emit(cancellation_type::total); });
  world.run_until(4s);
  CHECK(late.is(errc::timed_out));
  CHECK(late.at == 3s);
  CHECK_FALSE(late.got);
  CHECK(cancelled.is(errc::cancelled));
  CHECK(cancelled.at == 2s);
  CHECK(world.pool().snapshot().waiting == 0);
  holds.got.release(status_code::ok);
}

TEST_CASE("async_acquire: says queue_full, no_endpoint_ready and pool_closed", "[sim][lease]") {
  world world{{.pool = {.target = "a:1", .max_waiting = 1}}};
  world.net()["a:1"].down();
  world.pool().open();
  world.run_until(50ms);
  outcome hopeless(world), patient(world), full(world);
  hopeless.acquire(1s);
  patient.acquire(60s, true);
  full.acquire(60s, true);
  world.run_for(1ms);
  CHECK(hopeless.is(errc::no_endpoint_ready));
  CHECK(full.is(errc::queue_full));
  CHECK_FALSE(patient.error);
  world.drain(1s);
  outcome closed(world);
  closed.acquire(1s);
  world.run_for(1ms);
  CHECK(patient.is(errc::pool_closed));
  CHECK(closed.is(errc::pool_closed));
}

TEST_CASE("async_ready and async_acquire: say loop_stopping when the loop stops, and afterwards", "[sim][lease]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].black_hole();
  outcome ready(world), lease(world), late_ready(world), late_lease(world);
  ready.ready({.timeout = 60s});
  lease.acquire(60s);
  world.run_until(1s);
  world.stop(1s);
  CHECK(ready.is(errc::loop_stopping));
  CHECK(lease.is(errc::loop_stopping));
  late_ready.ready({});
  late_lease.acquire(1s);
  world.stop(1s);
  CHECK(late_ready.is(errc::loop_stopping));
  CHECK(late_lease.is(errc::loop_stopping));
}

TEST_CASE("async_acquire: one that waits when its endpoint fails is told, unless it waits for ready", "[sim][lease]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down().dial_takes(100ms);
  outcome hasty(world), patient(world);
  hasty.acquire(60s);
  patient.acquire(60s, true);
  world.run_until(200ms);
  CHECK(hasty.is(errc::no_endpoint_ready));
  CHECK(hasty.at == 100ms);
  world.net()["a"].up();
  world.run_until(10s);
  CHECK(patient.succeeded());
  patient.got.release(status_code::ok);
}

TEST_CASE("async_acquire: a lease outlives its slot's connection, and is revoked with its pool", "[sim][lease]") {
  world world{{.pool = {.target = "a:1"}}};
  outcome one(world);
  one.acquire(1s);
  world.run_until(1s);
  REQUIRE(one.got);
  world.net()["a"].kill();
  world.run_until(10s);
  CHECK_FALSE(one.got.revoked());
  CHECK(one.got.endpoint() == "a:1");
  world.destroy_pool();
  CHECK(one.got.revoked());
  one.got.release(status_code::cancelled);
}

TEST_CASE("async_acquire: a lease on its way when the pool goes is given back", "[sim][lease]") {
  world world{{.pool = {.target = "a:1"}}};
  world.pool().open();
  world.run_until(10ms);
  outcome one(world);
  one.acquire(1s);
  world.destroy_pool();
  world.run_for(1ms);
  REQUIRE(one.error);
  if (one.got) {
    CHECK(one.got.revoked());
    one.got.release(status_code::cancelled);
  }
}
