// SPDX-License-Identifier: Apache-2.0
// A pick, by number of candidates.
#include "record.hpp"

#include <millrace/balance/any_picker.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace {

using namespace millrace;

// `info` says what a retry avoids
void pick(benchmark::State& state, std::string_view policy, balance::pick_info const& info) {
  auto const count = static_cast<std::uint32_t>(state.range(0));
  std::vector<std::uint32_t> in_flight(count);
  std::vector<balance::candidate> candidates;
  for (std::uint32_t slot = 0; slot < count; ++slot) {
    in_flight[slot] = slot * 7 % 13;
    candidates.push_back({.slot = slot, .endpoint = slot, .in_flight = &in_flight[slot]});
  }
  auto picker = balance::make_picker(policy, 1);
  picker.rebuild(candidates);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) benchmark::DoNotOptimize(picker.pick(info));
}

constexpr balance::pick_info first{.now = time_point{}};
constexpr balance::pick_info retry{.now = time_point{}, .avoid_slot = 1, .avoid_endpoint = 1};

BENCHMARK_CAPTURE(pick, round_robin, "round_robin", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, round_robin_retry, "round_robin", retry)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_request, "least_request", first)->Arg(2)->Arg(16)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_request_retry, "least_request", retry)->Arg(2)->Arg(16)->Arg(1000);

}  // namespace
