// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <string_view>

namespace millrace {
class rng;
}

namespace millrace::retry {

/// Exponential backoff as gRPC has it (doc/connection-backoff.md). The defaults are a pool's redials: gRPC's own start at 1 s
/// and reach 120 s, which keeps a pool down for long after a server's restart.
struct backoff_params {
  duration initial = std::chrono::milliseconds{100};  ///< Before jitter; more than 0.
  double multiplier = 1.6;                            ///< At least 1.
  duration max = std::chrono::seconds{10};            ///< Before jitter; at least `initial`.
  double jitter = 0.2;                                ///< Each wait is spread by ± this fraction; 0 to 1.
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(backoff_params const& params, std::string_view field_prefix);

/// How long to wait after each failure in a row. Expects validated params.
class backoff {
 public:
  explicit backoff(backoff_params params) noexcept;

  /// The wait after one more failure; after the n-th it is
  /// `min(initial × multiplier^(n-1), max) × uniform(1 - jitter, 1 + jitter)`, so it may exceed `max` by the jitter.
  duration next(rng& random) noexcept;

  /// Forgets the failures: the next wait is the first one.
  void reset() noexcept;

  /// Calls of `next` since the last reset.
  unsigned failures() const noexcept { return failures_; }

 private:
  backoff_params params_;
  double wait_;  // the next one before jitter, in ticks: a double, so that no number of failures overflows it
  unsigned failures_ = 0;
};

}  // namespace millrace::retry
