// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/histogram.hpp>
#include <millrace/time/clock.hpp>

#include <array>
#include <cstdint>

namespace millrace {

/// Durations of the last window and the one before: two histograms that take turns, so that each counts for one window to two.
/// Fixed memory (20 KiB), no allocation. Times must not go back.
class recent_latency {
 public:
  /// `window` is more than 0.
  explicit recent_latency(duration window) noexcept : window_(window) {}

  void record(time_point now, duration value) noexcept {
    turn_to(now);
    halves_[0].record(value);
  }

  std::uint64_t count(time_point now) noexcept {
    turn_to(now);
    return halves_[0].count() + halves_[1].count();
  }

  /// As histogram::percentile, of both. Some microseconds: not for every call.
  duration percentile(time_point now, double percent) noexcept {
    turn_to(now);
    histogram both = halves_[0];
    both.merge(halves_[1]);
    return both.percentile(percent);
  }

 private:
  void turn_to(time_point now) noexcept {
    if (now < until_) return;
    if (now - until_ < window_) {
      halves_[1] = halves_[0];
    } else {
      halves_[1].reset();
    }
    halves_[0].reset();
    until_ = saturating_add(now - (now - until_) % window_, window_);
  }

  duration window_;
  time_point until_{};  // of the present window
  std::array<histogram, 2> halves_{};
};

}  // namespace millrace
