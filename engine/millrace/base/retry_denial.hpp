// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace {

/// Why a failed attempt is not followed by another one.
enum class retry_denial {
  budget,         ///< The pool's retry budget is empty.
  attempts,       ///< `max_attempts` are spent.
  not_retryable,  ///< The policy does not list the code.
  pushback,       ///< The server said not to (a negative `grpc-retry-pushback-ms`).
  committed,      ///< The response headers had arrived.
  deadline,       ///< The next attempt would start after the call's deadline.
  cancelled,      ///< The caller wants no further attempt.
};

constexpr std::string_view to_string(retry_denial value) noexcept {
  switch (value) {
    case retry_denial::budget: return "budget";
    case retry_denial::attempts: return "attempts";
    case retry_denial::not_retryable: return "not_retryable";
    case retry_denial::pushback: return "pushback";
    case retry_denial::committed: return "committed";
    case retry_denial::deadline: return "deadline";
    case retry_denial::cancelled: return "cancelled";
  }
  return "?";
}

}  // namespace millrace
