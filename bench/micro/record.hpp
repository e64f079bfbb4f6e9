// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/allocations.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>

namespace millrace::micro {

/// Reports, beside the time, `allocs`: the heap allocations of one iteration, those of other threads included. Make it after
/// the preparations and before the timed loop; destroy it after the loop.
class allocations_per_iteration {
 public:
  explicit allocations_per_iteration(benchmark::State& state) noexcept : state_(state) {}
  allocations_per_iteration(allocations_per_iteration const&) = delete;
  allocations_per_iteration& operator=(allocations_per_iteration const&) = delete;
  ~allocations_per_iteration() {
    auto const made = static_cast<double>(bench::allocation_count() - before_);
    // those of the first iterations, which fill free lists, are no more than a trace
    state_.counters["allocs"] = std::round(100 * made / static_cast<double>(state_.iterations())) / 100;
  }

 private:
  benchmark::State& state_;
  std::uint64_t const before_ = bench::allocation_count();
};

}  // namespace millrace::micro
