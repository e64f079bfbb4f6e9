// SPDX-License-Identifier: Apache-2.0
// Random schedules: everything that can happen happens at random times, and the world's invariants hold at every turn.
// usage: sim-random FIRST COUNT; MILLRACE_SEED=N runs that schedule alone and prints its trace.
#include "random_holder.hpp"
#include "schedules.hpp"

#include <millrace/sim/world.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <utility>

namespace {

using namespace millrace;
using namespace millrace::sim;
using namespace std::chrono_literals;

constexpr std::array names = {"a:1", "b:1", "c:1"};

/// Somebody who waits for the pool and takes leases, and what came of it.
struct guest {
  explicit guest(bool& bad) : twice(bad) {}
  void on_done() { twice = std::exchange(done, true) || twice; }

  bool& twice;
  bool done = false;
  boost::asio::cancellation_signal cancellation;
  lease held;
};

// what looks after endpoints, at a pace that shows within seconds
void random_traffic(pool_params& pool, rng& random) {
  if (chance(random, 0.3)) pool.max_wait = between(random, 10ms, 3s);
  if (chance(random, 0.3)) pool.max_in_flight = 1 + random.below(20);
  if (chance(random, 0.5)) pool.panic_threshold = random.uniform();
  if (chance(random, 0.3)) pool.slow_start.window = between(random, 100ms, 5s);
  if (chance(random, 0.3)) pool.aperture.size = 1 + random.below(3);
  if (chance(random, 0.5)) pool.failover = {between(random, 0s, 1s), between(random, 0s, 1s), between(random, 0s, 1s)};
  if (chance(random, 0.5)) {
    pool.accrual = {
        .consecutive_failures = 1 + random.below(4), .min_volume = 2, .base_ejection = between(random, 100ms, 2s)};
  }
  if (chance(random, 0.3)) {
    pool.outlier = {.interval = between(random, 100ms, 2s), .base_ejection_time = between(random, 100ms, 2s)};
    pool.outlier->success_rate = {.minimum_hosts = 2, .request_volume = 3};
    pool.outlier->failure_percentage = {.minimum_hosts = 1, .request_volume = 2};
  }
  if (chance(random, 0.4))
    pool.health_check = {.use_check = chance(random, 0.3), .initial_timeout = between(random, 100ms, 3s)};
  if (chance(random, 0.5))
    pool.scaling = {.shrink_interval = between(random, 100ms, 2s), .shrink_after = between(random, 0s, 3s)};
  if (chance(random, 0.3)) pool.scaling.grow_at = 1 + random.below(pool.max_calls_per_slot);
  if (chance(random, 0.3)) pool.scaling.grow_when_slower = 1.5;
  pool.rotation.spread = between(random, 0s, 1s);
  if (chance(random, 0.5)) pool.responsiveness = {.calls = 1 + random.below(3), .after = between(random, 10ms, 2s)};
  if (chance(random, 0.3)) pool.concurrency_limit = {.initial = 4, .min = 1, .max = 30, .min_samples = 3};
}

// from a generator of its own, so that a seed's story stays what it was
void random_hedging(client_params& client, rng random) {
  if (chance(random, 0.3)) client.retry.per_attempt_timeout = between(random, 1ms, 1s);
  if (chance(random, 0.5)) return;
  client.idempotent = chance(random, 0.7);
  client.hedging = {.max_attempts = 2 + random.below(4),
                    .percentile = 50,
                    .min_data_points = 3,
                    .max_extra_load = 1,
                    .min_per_second = 10};
  if (chance(random, 0.8)) client.hedging->delay = chance(random, 0.2) ? 0s : between(random, 0s, 500ms);
}

// the same
void random_dialing(pool_params& pool, rng random) {
  if (pool.balance != "pick_first") return;
  pool.max_slots = std::max(pool.min_slots, 1 + random.below(3));
  pool.dial_order.attempt_delay = between(random, 10ms, 2s);
}

world_params random_params(std::uint64_t seed, rng& random, std::uint32_t& endpoints, bool traced) {
  world_params params{.seed = seed, .traced = traced};
  endpoints = 1 + random.below(3);
  for (std::uint32_t at = 0; at < endpoints; ++at) params.pool.target += std::string(at > 0 ? "," : "") + names[at];
  params.pool.max_slots = endpoints + random.below(4);
  params.pool.min_slots = 1 + random.below(params.pool.max_slots);
  params.pool.max_calls_per_slot = chance(random, 0.3) ? 1 + random.below(4) : 100;
  params.pool.max_waiting = chance(random, 0.2) ? 3 : 1000;
  auto const policies = balance::policy_names();
  params.pool.balance = policies[random.below(static_cast<std::uint32_t>(policies.size()))];
  params.pool.slot.dial_timeout = between(random, 100ms, 5s);
  params.pool.slot.proven_after = between(random, 100ms, 5s);
  params.pool.slot.watch_slice = between(random, 100ms, 5s);
  params.pool.slot.ready_watch_slice = between(random, 100ms, 20s);
  if (chance(random, 0.3)) params.pool.budget = {.percent = 0.1, .min_per_second = 1};
  if (chance(random, 0.5)) random_traffic(params.pool, random);
  params.client.retry.max_attempts = 1 + random.below(5);
  random_hedging(params.client, rng(seed ^ 0xed9e));
  random_dialing(params.pool, rng(seed ^ 0xd1a1));
  return params;
}

answer random_answer(rng& random) {
  answer one;
  if (chance(random, 0.6)) one.code = chance(random, 0.7) ? status_code::unavailable : status_code::not_found;
  if (chance(random, 0.1)) one.pushback = chance(random, 0.5) ? "-1" : "30";
  one.committed = chance(random, 0.1);
  one.never_left = one.code != status_code::ok && chance(random, 0.2);
  if (chance(random, 0.1)) one.after = duration::max();
  if (chance(random, 0.1)) one.stuck = between(random, 0s, 1s);
  return one;
}

void disturb(server& at, rng& random) {
  switch (random.below(13)) {
    case 0: at.up(); break;
    case 1: at.down(); break;
    case 2: at.black_hole(); break;
    case 3: at.accept_then_drop(between(random, 0s, 2s)); break;
    case 4: at.kill(); break;
    case 5: at.drop(); break;
    case 6: at.go_away(); break;
    case 7: at.dial_takes(between(random, 0s, 3s)); break;
    case 8: at.call_takes({.least = 1ms, .most = between(random, 1ms, 2s)}); break;
    case 9: at.answer_sometimes(random.uniform(), random_answer(random)); break;
    case 10: at.answer_next(random_answer(random)); break;
    case 11: at.health(static_cast<health_answer>(random.below(5))); break;
    case 12: at.health_takes(between(random, 0s, 1s)); break;
  }
}

endpoint_set random_set(rng& random) {
  endpoint_set set;
  for (char const* const name : names) {
    if (chance(random, 0.6)) {
      set.push_back({.address = name, .weight = 1 + random.below(9), .priority = chance(random, 0.3) ? 1u : 0u});
    }
  }
  return set;
}

void plan_endpoints(world& in, rng& random, duration until) {
  for (char const* const name : names) in.net().add(name);
  for (std::uint32_t left = random.below(12); left > 0; --left) {
    std::uint64_t const seed = random.next();
    in.at(between(random, 0s, until), [&in, seed] {
      if (!in.has_pool()) return;
      rng own(seed);
      std::string const name = names[own.below(names.size())];
      switch (own.below(4)) {
        case 0:
        case 1: return in.pool().update_endpoints(random_set(own));
        case 2: return in.pool().async_drain_endpoint(name, between(own, 0s, 2s), [](error_code) {});
        case 3: static_cast<void>(in.pool().readmit_endpoint(name)); return;
      }
    });
  }
}

boost::asio::cancellation_type random_cancellation(rng& random) {
  constexpr std::array types = {boost::asio::cancellation_type::total, boost::asio::cancellation_type::partial,
                                boost::asio::cancellation_type::terminal};
  return types[random.below(3)];
}

void plan_calls(world& in, rng& random, duration until) {
  for (std::uint32_t left = 5 + random.below(60); left > 0; --left) {
    call_options options{.timeout = between(random, 1ms, 6s), .wait_for_ready = chance(random, 0.4)};
    if (left % 3 == 0) options.idempotent = left % 2 == 0;
    bool const cancels = chance(random, 0.2);
    duration const cancel_after = between(random, 0s, 2s);
    auto const how = random_cancellation(random);
    in.at(between(random, 0s, until), [&in, options, cancels, cancel_after, how] {
      call_record& one = in.call("hello", options);
      if (cancels) in.after(cancel_after, [&one, how] { one.cancel(how); });
    });
  }
}

void plan_guests(world& in, std::deque<guest>& guests, bool& twice, rng& random, duration until) {
  for (std::uint32_t left = random.below(8); left > 0; --left) {
    guest& one = guests.emplace_back(twice);
    bool const leases = chance(random, 0.6);
    bool const waits = chance(random, 0.5);
    bool const resets = chance(random, 0.2);
    std::uint32_t const count = 1 + random.below(5);
    duration const timeout = between(random, 0s, 4s);
    duration const held_for = between(random, 0s, 4s);
    in.at(between(random, 0s, until), [&in, &one, leases, waits, resets, count, timeout, held_for] {
      if (!in.has_pool()) return one.on_done();
      if (resets) in.pool().reset_backoff();
      auto const slot = one.cancellation.slot();
      if (!leases) {
        in.pool().async_ready({.min_ready = count, .timeout = timeout},
                              boost::asio::bind_cancellation_slot(slot, [&one](error_code) { one.on_done(); }));
        return;
      }
      auto const got = [&in, &one, held_for](error_code, lease mine) {
        one.on_done();
        one.held = std::move(mine);
        in.after(held_for, [&one] { one.held.release(status_code::ok); });
      };
      in.pool().async_acquire({.timeout = timeout, .wait_for_ready = waits},
                              boost::asio::bind_cancellation_slot(slot, got));
    });
    if (chance(random, 0.2)) {
      in.at(between(random, 0s, until), [&one] { one.cancellation.emit(boost::asio::cancellation_type::total); });
    }
  }
}

void plan_end(world& in, rng& random, duration until) {
  duration const at = between(random, 0s, until);
  duration const grace = between(random, 0s, 3s);
  switch (random.below(5)) {
    case 0: in.at(at, [&in, grace] { in.drain(grace); }); break;
    case 1: in.at(at, [&in] { in.destroy_pool(); }); break;
    case 2: in.at(at, [&in, grace] { in.stop(grace); }); break;
    case 3:
      in.at(at, [&in, grace] { in.drain(grace); });
      in.at(at + grace / 2, [&in] {
        if (in.has_pool()) in.destroy_pool();
      });
      break;
    case 4: break;  // it lives until the end
  }
}

void run_schedule(std::uint64_t seed, bool traced) {
  rng random(seed);
  std::uint32_t endpoints = 0;
  world_params params = random_params(seed, random, endpoints, traced);
  auto const holds = std::make_shared<random_holder>(random.next(), chance(random, 0.4) ? 0.2 * random.uniform() : 0);
  params.interceptors.push_back(holds);
  bool twice = false;
  std::deque<guest> guests;
  world world(std::move(params));
  holds->in = &world;
  // handles and leases go before the loop, whatever happens
  struct farewell {
    std::shared_ptr<random_holder> holds;
    std::deque<guest>& guests;
    ~farewell() { bid(); }
    void bid() {
      holds->let_go();
      for (guest& one : guests) one.held = {};
    }
  } last{holds, guests};

  duration const until = between(random, 1s, 15s);
  for (std::uint32_t left = random.below(25); left > 0; --left) {
    char const* const name = names[random.below(endpoints)];
    std::uint64_t const what = random.next();
    world.at(between(random, 0s, until), [&world, name, what] {
      rng own(what);
      disturb(world.net()[name], own);
    });
  }
  if (chance(random, 0.5)) plan_endpoints(world, random, until);
  plan_calls(world, random, until);
  plan_guests(world, guests, twice, random, until);
  plan_end(world, random, until);
  world.run_until(until + 8s);  // longer than any deadline
  last.bid();
  world.finish();
  for (guest const& one : guests) twice = twice || (!world.stopped() && !one.done);
  if (twice) throw std::logic_error("a wait for the pool completed twice or never");
  if (traced) std::fputs(world.trace().text().c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) { return millrace::sim::run_schedules(argc, argv, run_schedule); }
