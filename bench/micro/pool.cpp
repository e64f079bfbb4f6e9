// SPDX-License-Identifier: Apache-2.0
// What the pool's machines add to a call, and a look at its size.
#include "record.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/pool/concurrency_limit.hpp>
#include <millrace/pool/responsiveness.hpp>
#include <millrace/pool/scaling.hpp>

#include <cstdint>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

constexpr time_point start{1h};

std::vector<endpoint_load> endpoints(std::uint32_t count) {
  std::vector<endpoint_load> all;
  for (std::uint32_t number = 0; number < count; ++number) {
    all.push_back({.endpoint = number,
                   .min_slots = 1,
                   .max_slots = 4,
                   .open = 2,
                   .dialing = 0,
                   .ready = 2,
                   .draining = 0,
                   .in_flight = 150,
                   .peak = 170,
                   .free = 50});
  }
  return all;
}

void responsiveness_response(benchmark::State& state) {
  responsiveness_params const params;
  responsiveness one(params, start);
  benchmark::DoNotOptimize(&one);
  time_point now = start;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    one.on_response(now += 1us);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(responsiveness_response);

// with its windows: one in a hundred calls closes one
void concurrency_limit_done(benchmark::State& state) {
  rng random(1);
  concurrency_limit one({.sample_window = 1ms}, random);
  time_point now = start;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    one.on_done(now += 10us, 50us, one.limit(), false);
    benchmark::DoNotOptimize(one.limit());
  }
}
BENCHMARK(concurrency_limit_done);

// the end of a call, without growth for latency and with it
void scaling_done(benchmark::State& state, scaling_params params) {
  scaling one(params, 100);
  auto const all = endpoints(8);
  one.look(start, {.endpoints = all, .max_slots = 100, .waiting = 0});
  time_point now = start;
  std::uint32_t call = 0;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    ++call;
    benchmark::DoNotOptimize(one.on_done(now += 1us, call % 8, 1ms, call % 4096 < 2048 ? 2 : 50, 2));
  }
}
BENCHMARK_CAPTURE(scaling_done, off, scaling_params{});
BENCHMARK_CAPTURE(scaling_done, on, scaling_params{.grow_when_slower = 2});

// of a pool with so many endpoints, two slots each, that has nothing to do
void scaling_look(benchmark::State& state) {
  scaling one({}, 100);
  auto const all = endpoints(static_cast<std::uint32_t>(state.range(0)));
  time_point now = start;
  one.look(now, {.endpoints = all, .max_slots = 10'000, .waiting = 0});
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(one.look(now += 1us, {.endpoints = all, .max_slots = 10'000, .waiting = 0}));
  }
}
BENCHMARK(scaling_look)->Arg(1)->Arg(16)->Arg(1000);

}  // namespace
