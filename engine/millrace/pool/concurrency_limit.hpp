// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace millrace {

class rng;

struct concurrency_limit_params {
  std::uint32_t initial = 20;  ///< From `min` to `max`.
  std::uint32_t min = 3;       ///< 1 or more.
  std::uint32_t max = 1000;
  /// The limit is looked at after so long at least, and after so many calls. More than 0 each.
  duration sample_window = std::chrono::milliseconds(100);
  std::uint32_t min_samples = 50;
  /// How much slower than without load calls may be without the limit's being lowered: 0.25 is a quarter. 0 or more.
  double tolerance = 0.25;
  /// The latency without load is measured anew after so long, ± 10 %. More than 0.
  duration remeasure_interval = std::chrono::seconds(60);
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(concurrency_limit_params const& params, std::string_view field_prefix);

/// How many calls a server can have in flight before they only wait for one another there, learned from their latency (the
/// gradient of Envoy's adaptive concurrency and of Netflix's concurrency-limits):
///
///     gradient = base × (1 + tolerance) / latency × the part of the calls that was not dropped, within 0.5 and 2
///     limit    = limit × gradient + √(limit × gradient)
///
/// once a window, where `latency` is the mean of the window's calls and `base` the latency without load. The root is the queue
/// that is allowed so that the limit can rise at all. A window judges only calls that were started in it, so under its limit,
/// and as many as the limit: it lasts one latency at least. One whose calls were all dropped halves the limit. While fewer
/// calls than half the limit are made, their latency says nothing of the limit, and it stays.
///
/// The base is measured at the start, once a remeasure_interval, and when latency does not follow the limit (halving the limit
/// did not make calls faster, or they take less than half the base): the limit is halved for a window, and again while that
/// makes calls faster by a tenth. Then it is what it was, or less if the base says so. Unlike a minimum over all time it is no
/// outlier, and it costs a window or two a minute at half the limit, where Envoy goes down to `min`.
///
/// For a server with c equal places it becomes (1 + tolerance) × c and the root of that.
class concurrency_limit {
 public:
  /// Expects validated params. `random` spreads the measurements of many clients.
  concurrency_limit(concurrency_limit_params const& params, rng& random) noexcept;

  /// A call ended at `now`, `latency` after it was started. `in_flight`: calls on the server, with this one. `dropped`: it was
  /// refused or lost, so that its latency says nothing. Of calls that were cancelled do not tell.
  void on_done(time_point now, duration latency, std::uint32_t in_flight, bool dropped) noexcept {
    // one of the very moment may be older than the window, too: a loop's clock stands still for a turn
    if (now - latency <= window_began_) return;
    most_in_flight_ = std::max(most_in_flight_, in_flight);
    ++calls_;
    if (dropped) {
      ++dropped_;
    } else {
      sum_ += std::min(static_cast<double>(latency.count()), longest_);
    }
    if (calls_ >= window_calls_ && now >= window_ends_) close_window(now);
  }

  /// Calls that may be in flight.
  std::uint32_t limit() const noexcept { return static_cast<std::uint32_t>(limit_); }

  /// The latency without load; zero before it was first measured.
  duration base_latency() const noexcept { return duration{static_cast<duration::rep>(base_)}; }

  /// The limit is low for a moment, to measure that.
  bool measuring() const noexcept { return limit_after_ > 0; }

 private:
  void close_window(time_point now) noexcept;
  void adapt(time_point now, double latency, double kept) noexcept;
  void start_measuring(double latency) noexcept;
  void measure(time_point now, double latency) noexcept;
  bool base_is_stale(double latency) noexcept;
  double fits(double limit, double latency) const noexcept;
  void set_limit(double limit) noexcept;

  concurrency_limit_params const params_;
  rng& random_;
  double limit_;
  bool warm_ = false;
  double base_ = 0;  // in nanoseconds, as are all latencies here; 0: not measured yet
  time_point measure_at_ = time_point::min();
  // while it measures: the limit to return to, and the latency under that and under the last one
  double limit_after_ = 0;
  double latency_after_ = 0;
  double latency_before_ = 0;
  // where the limit was last at its highest, or halved
  double reference_limit_ = 0;
  double reference_latency_ = 0;
  std::uint32_t resting_ = 0;  // windows before it may measure because of the latency
  // the window
  time_point window_began_ = time_point::min();
  time_point window_ends_ = time_point::min();
  std::uint32_t window_calls_;
  std::uint32_t most_in_flight_ = 0;
  std::uint32_t calls_ = 0;
  std::uint32_t dropped_ = 0;
  double sum_ = 0;
  double longest_;  // a latency beyond this counts as this: one call that hung is not the server's state
};

}  // namespace millrace
