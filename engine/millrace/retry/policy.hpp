// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/time/clock.hpp>

#include <string_view>

namespace millrace::retry {

/// When and how often a call is tried again (gRFC A6, `retryPolicy`).
struct retry_policy {
  unsigned max_attempts = 3;                                 ///< The first one included; 1 (no retries) to 5.
  duration initial_backoff = std::chrono::milliseconds{50};  ///< More than 0.
  duration max_backoff = std::chrono::seconds{1};            ///< At least `initial_backoff`.
  double multiplier = 2.0;                                   ///< At least 1.
  double jitter = 0.2;                                       ///< Each wait is spread by ± this fraction; 0 to 1.
  /// Codes worth another attempt; list more only for methods that may run twice. Not empty unless `max_attempts` is 1.
  status_code_set retryable{status_code::unavailable};
};

/// gRFC A6: a larger `maxAttempts` is treated as 5.
inline constexpr unsigned most_attempts = 5;

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(retry_policy const& policy, std::string_view field_prefix);

}  // namespace millrace::retry
