// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace millrace::retry {

/// When a server fails so often that it gets no retries (gRFC A6, `retryThrottling`).
struct throttle_params {
  std::uint32_t max_tokens = 10;  ///< At the beginning, and at most; 1 to 1000.
  double token_ratio = 0.1;       ///< What a success gives back; more than 0, in thousandths.
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(throttle_params const& params, std::string_view field_prefix);

/// Tokens that failures take and successes give back; with half of them or less there is no retry.
class throttle {
 public:
  /// Expects validated params.
  explicit throttle(throttle_params params) noexcept
      : most_(std::int64_t{params.max_tokens} * 1000),
        ratio_(std::llround(params.token_ratio * 1000)),
        tokens_(most_) {}

  /// An attempt failed in a way that a retry could mend, or was answered that there must be none.
  void record_failure() noexcept { tokens_ = tokens_ > 1000 ? tokens_ - 1000 : 0; }

  /// An attempt succeeded.
  void record_success() noexcept { tokens_ = tokens_ + ratio_ < most_ ? tokens_ + ratio_ : most_; }

  bool allows_retry() const noexcept { return tokens_ > most_ / 2; }

 private:
  // in thousandths, which is what A6 counts in
  std::int64_t most_;
  std::int64_t ratio_;
  std::int64_t tokens_;
};

}  // namespace millrace::retry
