// SPDX-License-Identifier: Apache-2.0
// A pick, the end of an attempt and a rebuild, by number of candidates.
#include "record.hpp"

#include <millrace/balance/any_picker.hpp>
#include <millrace/base/hash_key.hpp>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace millrace;

enum class weights { equal, apart };

// endpoints with a slot each and a few calls on it
class field {
 public:
  explicit field(std::uint32_t count, weights which = weights::equal) : in_flight_(count) {
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      in_flight_[slot] = slot * 7 % 13;
      calls += in_flight_[slot];
      candidates.push_back({.slot = slot,
                            .endpoint = slot,
                            .weight = which == weights::equal ? 1.0 : 1 + slot % 10,
                            .endpoint_weight = which == weights::equal ? 1u : 1 + slot % 10,
                            .endpoint_hash = stable_hash("endpoint-" + std::to_string(slot)),
                            .in_flight = &in_flight_[slot]});
    }
  }

  std::vector<balance::candidate> candidates;
  std::uint32_t calls = 0;

 private:
  std::vector<std::uint32_t> in_flight_;
};

// `info` says what a retry avoids
void pick(benchmark::State& state, std::string_view policy, balance::pick_info info, weights which = weights::equal) {
  auto const count = static_cast<std::uint32_t>(state.range(0));
  field const some(count, which);
  auto picker = balance::make_picker(policy, 1, count);
  picker.rebuild(some.candidates);
  for (std::uint32_t slot = 0; slot < count; ++slot) {
    picker.on_done({.now = info.now, .slot = slot, .code = status_code::ok, .latency = std::chrono::milliseconds(5)});
  }
  info.now += std::chrono::seconds(1);
  info.in_flight = some.calls;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    if (info.hash) *info.hash += 0x9e3779b97f4a7c15u;  // another key
    benchmark::DoNotOptimize(picker.pick(info));
  }
}

// the end of an attempt, as a policy learns of it
void outcome(benchmark::State& state, std::string_view policy) {
  field const some(16);
  auto picker = balance::make_picker(policy, 1, 16);
  picker.rebuild(some.candidates);
  balance::done_info done{.now = time_point{}, .slot = 3, .code = status_code::ok, .latency = {}};
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    done.now += std::chrono::microseconds(50);
    done.latency = std::chrono::microseconds(done.now.time_since_epoch().count() % 1000);
    picker.on_done(done);
  }
}

// an endpoint that goes and returns
void rebuild(benchmark::State& state, std::string_view policy, weights which = weights::equal) {
  auto const count = static_cast<std::uint32_t>(state.range(0));
  field const some(count, which);
  auto picker = balance::make_picker(policy, 1, count);
  bool all = true;
  // what they keep for the next one is there once all of them have been
  picker.rebuild(some.candidates);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    picker.rebuild(std::span(some.candidates).first(all ? count : count - 1));
    all = !all;
  }
}

// a weight that changes at each, as while an endpoint starts slowly
void reweigh(benchmark::State& state, std::string_view policy) {
  auto const count = static_cast<std::uint32_t>(state.range(0));
  field some(count);
  auto picker = balance::make_picker(policy, 1, count);
  double& weight = some.candidates.back().weight;
  picker.rebuild(some.candidates);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    weight = weight < 1 ? weight + 0.01 : 0.1;
    picker.rebuild(some.candidates);
  }
}

constexpr balance::pick_info first{.now = time_point{}};
constexpr balance::pick_info retry{.now = time_point{}, .avoid_slot = 1, .avoid_endpoint = 1};
constexpr balance::pick_info keyed{.now = time_point{}, .hash = 1};

BENCHMARK_CAPTURE(pick, round_robin, "round_robin", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, round_robin_weighted, "round_robin", first, weights::apart)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, round_robin_retry, "round_robin", retry)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_request, "least_request", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_request_weighted, "least_request", first, weights::apart)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_request_retry, "least_request", retry)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, peak_ewma, "peak_ewma", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, pick_first, "pick_first", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, ring_hash, "ring_hash", keyed)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, maglev, "maglev", keyed)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(outcome, peak_ewma, "peak_ewma");
BENCHMARK_CAPTURE(rebuild, ring_hash, "ring_hash")->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(rebuild, maglev, "maglev")->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(rebuild, maglev_weighted, "maglev", weights::apart)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(reweigh, round_robin, "round_robin")->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(reweigh, least_request, "least_request")->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(reweigh, maglev, "maglev")->Arg(2)->Arg(16)->Arg(1000);

}  // namespace
