// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <algorithm>
#include <cstdint>

namespace millrace {

/// When write coalescing holds back what gRPC writes (turn_cork).
struct cork_params {
  /// Calls in flight on the connection, at most in this turn or the last, below which corking only delays: client and server
  /// would fall into lock-step.
  std::uint32_t min_in_flight = 16;
  /// Calls after which what is held back is let go, so that the peer is not left idle; 1 or more.
  std::uint32_t flush_every = 32;
};

/// What write coalescing did.
struct coalescing_stats {
  std::uint64_t corks = 0;           ///< Times writes were held back.
  duration held{};                   ///< How long that was in all.
  duration longest{};                ///< The longest of them.
  std::uint64_t failed_uncorks = 0;  ///< Times the kernel refused to let go; tried again at the end of the next turn.
  bool corked = false;               ///< They are held back now. Never so outside of the loop's turn.

  coalescing_stats& operator+=(coalescing_stats const& other) noexcept {
    corks += other.corks;
    held += other.held;
    failed_uncorks += other.failed_uncorks;
    longest = std::max(longest, other.longest);
    corked = corked || other.corked;
    return *this;
  }
};

}  // namespace millrace
