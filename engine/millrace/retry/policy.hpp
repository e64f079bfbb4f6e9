// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/retry/rule.hpp>
#include <millrace/time/clock.hpp>

#include <string_view>

namespace millrace::retry {

/// When and how often a call is tried again (gRFC A6, `retryPolicy`).
struct retry_policy {
  unsigned max_attempts = 3;                                 ///< The first one included; 1 (no retries) to 5.
  duration initial_backoff = std::chrono::milliseconds{50};  ///< More than 0.
  duration max_backoff = std::chrono::seconds{1};            ///< At least `initial_backoff`.
  double multiplier = 2.0;                                   ///< More than 0.
  double jitter = 0.2;                                       ///< Each wait is spread by ± this fraction; 0 to 1.
  /// Codes worth another attempt; list more only for methods that may run twice. Not empty unless `max_attempts` is 1.
  status_code_set retryable{status_code::unavailable};
  /// An attempt that takes longer is cut off, as one that ended with DEADLINE_EXCEEDED, and tried again whether or not `retryable`
  /// lists that code: it is the client's own impatience, not the server's word (Envoy's per_try_timeout). The server sees it as its
  /// deadline. Of a server stream it is the time until it begins, and the server does not see it; of other streams it is ignored. 0: an
  /// attempt has until the call's deadline.
  duration per_attempt_timeout{};
  /// Decides in place of `retryable`, the backoff and the server's pushback, which it sees. `max_attempts`, the deadline, throttling
  /// and the budget bound it, and it is not asked about attempts that never left or whose response had begun. Empty: none.
  retry_rule rule{};
};

/// gRFC A6: a larger `maxAttempts` is treated as 5.
inline constexpr unsigned most_attempts = 5;

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(retry_policy const& policy, std::string_view field_prefix);

}  // namespace millrace::retry
