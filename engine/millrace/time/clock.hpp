// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace millrace {

/// The engine's time is monotonic. Only a loop's port reads the clock; everything else is told the time.
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;

/// The time that never comes: "no deadline".
inline constexpr time_point never = time_point::max();

/// `at + after`, held at `never` instead of overflowing.
constexpr time_point saturating_add(time_point at, duration after) noexcept {
  return after > never - at ? never : at + after;
}

}  // namespace millrace
