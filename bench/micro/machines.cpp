// SPDX-License-Identifier: Apache-2.0
// Steps of the state machines, and the budget they share.
#include "record.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/pool/slot_machine.hpp>
#include <millrace/retry/attempt_machine.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

constexpr time_point start{1h};

void budget_deposit(benchmark::State& state) {
  retry::budget budget;
  time_point now = start;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) budget.deposit(now += 1us);
}
BENCHMARK(budget_deposit);

void budget_try_withdraw(benchmark::State& state) {
  retry::budget budget;
  time_point now = start;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) benchmark::DoNotOptimize(budget.try_withdraw(now += 1us));
}
BENCHMARK(budget_try_withdraw);

// from its construction to its end, with one attempt that succeeds: five steps
void call_machine_happy_call(benchmark::State& state) {
  retry::retry_policy const policy;
  retry::budget budget;
  rng random(1);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    call_machine machine(policy, budget, random, start + 10s);
    benchmark::DoNotOptimize(machine.step({start, call_event::start{}}));
    benchmark::DoNotOptimize(machine.step({start, call_event::start_passed{}}));
    benchmark::DoNotOptimize(machine.step({start, call_event::admitted{}}));
    benchmark::DoNotOptimize(machine.step({start, call_event::attempt_done{.code = status_code::ok}}));
    benchmark::DoNotOptimize(machine.step({start, call_event::ended{}}));
  }
}
BENCHMARK(call_machine_happy_call);

// a call whose three attempts fail: two retries and a refusal
void attempt_machine_three_failures(benchmark::State& state) {
  retry::retry_policy const policy;
  retry::budget budget({.min_per_second = 1e9});
  rng random(1);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    retry::attempt_machine machine(policy, budget, random, never);
    for (int attempt = 0; attempt < 3; ++attempt) {
      benchmark::DoNotOptimize(machine.resume({.at = start, .code = status_code::unavailable}));
    }
  }
}
BENCHMARK(attempt_machine_three_failures);

// from its construction until it is ready: five steps
void slot_machine_connect(benchmark::State& state) {
  slot_params const params;
  rng random(1);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    slot_machine machine(params, random);
    benchmark::DoNotOptimize(machine.step({start, slot_event::open{}}));
    benchmark::DoNotOptimize(machine.step({start, slot_event::dial_granted{}}));
    benchmark::DoNotOptimize(machine.step({start, slot_event::observed{connectivity::connecting}}));
    benchmark::DoNotOptimize(machine.step({start, slot_event::observed{connectivity::ready}}));
    benchmark::DoNotOptimize(machine.step({start, slot_event::proven{}}));
    if (machine.state() != slot_state::ready) state.SkipWithError("the slot is not ready");
  }
}
BENCHMARK(slot_machine_connect);

// the event that every call which leaves its slot empty makes of a ready slot
void slot_machine_last_call_done(benchmark::State& state) {
  slot_params const params;
  rng random(1);
  slot_machine machine(params, random);
  (void)machine.step({start, slot_event::open{}});
  (void)machine.step({start, slot_event::dial_granted{}});
  (void)machine.step({start, slot_event::observed{connectivity::ready}});
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) benchmark::DoNotOptimize(machine.step({start, slot_event::last_call_done{}}));
}
BENCHMARK(slot_machine_last_call_done);

}  // namespace
