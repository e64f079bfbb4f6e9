// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <cstdint>

namespace millrace {

/// How much slower an endpoint's calls are while it has many than they are while it has few.
class load_latency {
 public:
  /// Calls in flight a slot on average up to which the load is low: nothing waits for anything there.
  static constexpr std::uint32_t low = 2;

  /// A call ended OK after `latency`; `in_flight` calls, with this one, were on the endpoint's `ready` slots.
  void on_done(duration latency, std::uint32_t in_flight, std::uint32_t ready) noexcept;

  /// The smoothed latency since the load was low last over the best one at low load; 0 while one of the two is not known.
  double ratio() const noexcept { return best_ > 0 && loaded_calls_ >= window ? loaded_ / best_ : 0; }

  /// The former of the two, in nanoseconds.
  double under_load() const noexcept { return loaded_; }

 private:
  static constexpr std::uint32_t window = 32;

  double quiet_ = 0;  // smoothed, in nanoseconds, as are the others
  double best_ = 0;
  double loaded_ = 0;
  std::uint32_t loaded_calls_ = 0;  // up to `window`
};

}  // namespace millrace
