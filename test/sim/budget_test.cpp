// SPDX-License-Identifier: Apache-2.0
// Random schedules: whatever happens to the servers, what they receive stays within the budget's bound. Retries, hedges, attempts
// that never left and questions after health together, through outages of all servers at once.
// usage: sim-budget FIRST COUNT; MILLRACE_SEED=N runs that schedule alone and prints its trace.
#include "arrivals.hpp"
#include "random_holder.hpp"
#include "schedules.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <string>

namespace {

using namespace millrace;
using namespace millrace::sim;
using namespace std::chrono_literals;

constexpr std::array names = {"a:1", "b:1", "c:1"};
constexpr duration longest_call = 1s;

world_params random_params(std::uint64_t seed, rng& random, bool traced) {
  world_params params{.seed = seed, .traced = traced};
  std::uint32_t const endpoints = 1 + random.below(3);
  for (std::uint32_t at = 0; at < endpoints; ++at) params.pool.target += std::string(at > 0 ? "," : "") + names[at];
  params.pool.slot.dial_timeout = between(random, 100ms, 1s);
  if (chance(random, 0.3)) params.pool.max_slots = endpoints + random.below(3);
  // small ones are spent in a short story; the others are the default, whose bound is published
  if (chance(random, 0.8)) {
    params.pool.budget = {.percent = chance(random, 0.5) ? 0 : 0.3 * random.uniform(),
                          .min_per_second = 2 * random.uniform(),
                          .ttl = between(random, 3s, 10s)};
  }
  if (chance(random, 0.7)) {
    params.pool.health_check = {.use_check = chance(random, 0.7), .check_interval = between(random, 200ms, 2s)};
  }
  params.client.retry = {.max_attempts = 5,
                         .initial_backoff = between(random, 1ms, 20ms),
                         .max_backoff = 100ms,
                         .retryable = {status_code::unavailable, status_code::aborted}};
  if (chance(random, 0.3)) params.client.retry.per_attempt_timeout = between(random, 5ms, 100ms);
  if (chance(random, 0.5)) {
    params.client.idempotent = true;
    params.client.hedging = {.max_attempts = 2 + random.below(4),
                             .delay = between(random, 0s, 50ms),
                             .max_extra_load = 1,
                             .min_per_second = 100};
  }
  return params;
}

answer random_failure(rng& random) {
  answer one{.code = chance(random, 0.8) ? status_code::unavailable : status_code::aborted};
  if (chance(random, 0.2)) one.after = between(random, 0s, 200ms);
  if (chance(random, 0.2)) one.never_left = true;
  if (chance(random, 0.1)) one.pushback = "5";
  return one;
}

void disturb(server& at, rng& random) {
  switch (random.below(8)) {
    case 0: at.up(); break;
    case 1: at.down(); break;
    case 2: at.kill(); break;
    case 3: at.drop(); break;
    case 4: at.accept_then_drop(between(random, 0s, 300ms)); break;
    case 5: at.call_takes({.least = 1ms, .most = between(random, 1ms, 500ms)}); break;
    case 6: at.answer_sometimes(random.uniform(), random_failure(random)); break;
    case 7: at.health(static_cast<health_answer>(random.below(5))); break;
  }
}

/// All servers fail, in one way or another, and are well again after a while.
void plan_outage(world& in, rng& random, duration until) {
  duration const at = between(random, 0s, until);
  std::uint64_t const seed = random.next();
  in.at(at, [&in, seed] {
    rng own(seed);
    bool const dies = chance(own, 0.3);
    for (server* const one : in.net().servers()) dies ? one->kill() : one->answer_sometimes(1, random_failure(own));
  });
  in.at(at + between(random, 100ms, 5s), [&in] {
    for (server* const one : in.net().servers()) one->up().answer_sometimes(0, {});
  });
}

/// In bursts, so that budgets run dry.
void plan_calls(world& in, rng& random, duration until) {
  for (std::uint32_t left = 1 + random.below(4); left > 0; --left) {
    duration const at = between(random, 0s, until);
    duration const every = chance(random, 0.5) ? 0ms : between(random, 1ms, 100ms);
    std::uint32_t const count = 1 + random.below(15);
    for (std::uint32_t n = 0; n < count; ++n) {
      call_options const options{.timeout = between(random, 10ms, longest_call), .wait_for_ready = chance(random, 0.5)};
      in.at(at + n * every, [&in, options] { in.call("hello", options); });
    }
  }
}

void run_schedule(std::uint64_t seed, bool traced) {
  rng random(seed);
  world_params params = random_params(seed, random, traced);
  retry::budget_params const budget = params.pool.budget;
  arrivals received;
  world world(std::move(params));
  received.watch(world);
  for (server* const one : world.net().servers()) {
    one->health(static_cast<health_answer>(random.below(5)));
    one->call_takes({.least = 1ms, .most = between(random, 1ms, 100ms)});
  }
  duration const until = between(random, 1s, 12s);
  for (std::uint32_t left = random.below(8); left > 0; --left) {
    std::string const name =
        world.net().servers()[random.below(static_cast<std::uint32_t>(world.net().servers().size()))]->name();
    std::uint64_t const what = random.next();
    world.at(between(random, 0s, until), [&world, name, what] {
      rng own(what);
      disturb(world.net()[name], own);
    });
  }
  for (std::uint32_t left = random.below(3); left > 0; --left) plan_outage(world, random, until);
  plan_calls(world, random, until);
  world.run_until(until + 8s);  // longer than any call or outage
  world.finish();
  if (traced) std::fputs(world.trace().text().c_str(), stdout);
  received.check(budget, longest_call);
}

}  // namespace

int main(int argc, char** argv) { return millrace::sim::run_schedules(argc, argv, run_schedule); }
