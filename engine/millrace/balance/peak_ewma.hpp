// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>
#include <millrace/base/rng.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

struct peak_ewma_params {
  /// In what time a latency counts a factor e less. More than 0.
  duration decay = std::chrono::seconds(10);
  /// What a failure of the server's counts at least, however quickly it came. More than 0.
  duration failure_latency = std::chrono::seconds(1);
};

/// Of two candidates at random the cheaper one, where the cost is a moving average of the latency times calls in flight + 1
/// (Finagle's PeakEwma, after Ruffy's and tower's), divided by the weight (brpc's p2c): a slot that becomes slow is noticed by its
/// first slow answer, and tried again as time makes the average decay.
///
/// What an attempt's end does to the average of its slot:
///
/// | outcome | counts |
/// |---|---|
/// | OK | its latency: a longer one replaces the average at once, a shorter one moves it |
/// | CANCELLED, and what servers answer to bad requests (NOT_FOUND, INVALID_ARGUMENT, PERMISSION_DENIED …) | its latency, only if it is longer than the average |
/// | UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNKNOWN, DATA_LOSS | the same with `failure_latency` at least, so that a server which fails fast attracts nobody |
///
/// A candidate that no attempt has come back from costs nothing while it is idle and nearly everything while it is not: it gets one
/// call to be judged by. So does one that lost its connection in between. A pick is O(1).
///
/// A weight says what a candidate is worth beside others; it is no promise of a share. As the two are drawn alike, nobody gets more
/// than 2 / n of the calls.
class peak_ewma {
 public:
  static constexpr std::string_view name = "peak_ewma";

  /// std::invalid_argument names the field that is wrong.
  explicit peak_ewma(std::uint64_t seed, peak_ewma_params params = {});

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const& done) noexcept;

 private:
  struct history {
    double latency = 0;  // the average at `at`, in nanoseconds
    time_point at{};
    bool known = false;
    bool present = false;
  };

  std::size_t choose(time_point now) noexcept;
  double cost(candidate const& one, time_point now) const noexcept;
  double weight_after(duration elapsed) const noexcept;

  std::vector<candidate> candidates_;
  std::vector<history> histories_;  // by the slot's number
  rng random_;
  peak_ewma_params params_;
};

}  // namespace millrace::balance
