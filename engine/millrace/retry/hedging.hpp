// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/time/clock.hpp>

#include <optional>
#include <string_view>

namespace millrace::retry {

/// When a call that has no answer yet is sent once more, and the first answer taken (gRFC A6, `hedgingPolicy`; Finagle's
/// BackupRequestFilter). Only for calls that may run more than once, and are declared to be (`idempotent`): unary calls, and server
/// streams until the first attempt begins to answer.
struct hedging_policy {
  unsigned max_attempts = 2;  ///< The first one included; 2 to 5.
  /// From one attempt to the next; 0: all at once. None: the `percentile` of what the method's first attempts took lately.
  std::optional<duration> delay{};
  double percentile = 95;  ///< More than 0, less than 100.
  /// Answers within the window; with fewer no hedge is sent, because nobody knows when. 1 or more.
  unsigned min_data_points = 100;
  duration window = std::chrono::seconds(10);           ///< How long an answer counts, to twice as long; more than 0.
  duration refresh_interval = std::chrono::seconds(3);  ///< How often the percentile is found anew; more than 0.
  duration min_delay = std::chrono::milliseconds(1);    ///< What the percentile is raised to; more than 0.
  /// Codes that do not end the call: the next hedge is sent at once, or else the others are waited for. May be empty.
  status_code_set non_fatal{status_code::unavailable};
  /// Hedges a call of the method, at most; 0 to 1. Besides, the pool's budget must have one.
  double max_extra_load = 0.1;
  double min_per_second = 1;  ///< Hedges of the method allowed besides, so that quiet clients have any; 0 or more.
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(hedging_policy const& policy, std::string_view field_prefix);

/// What a hedged call's attempts go by that fail while no other is in flight: it has no other retries (gRFC A6). `replaced` is
/// the retry policy that it would have, whose per_attempt_timeout stays.
retry_policy sequential(hedging_policy const& policy, retry_policy const& replaced);

}  // namespace millrace::retry
