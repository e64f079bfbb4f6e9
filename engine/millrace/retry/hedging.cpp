// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/hedging.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <cmath>

namespace millrace::retry {
namespace {

void require_positive(duration value, std::string_view field_prefix, std::string_view field) {
  if (value <= duration::zero()) impl::refuse(field_prefix, field, impl::text(value), "more than 0ms");
}

}  // namespace

void validate(hedging_policy const& policy, std::string_view field_prefix) {
  using impl::refuse, impl::text;
  if (policy.max_attempts < 2 || policy.max_attempts > most_attempts) {
    refuse(field_prefix, "max_attempts", text(policy.max_attempts), "2 to 5");
  }
  if (policy.delay && *policy.delay < duration::zero()) {
    refuse(field_prefix, "delay", text(*policy.delay), "at least 0ms, or none for the percentile");
  }
  if (!(policy.percentile > 0 && policy.percentile < 100)) {
    refuse(field_prefix, "percentile", text(policy.percentile), "more than 0 and less than 100");
  }
  if (policy.min_data_points < 1) refuse(field_prefix, "min_data_points", "0", "at least 1");
  require_positive(policy.window, field_prefix, "window");
  require_positive(policy.refresh_interval, field_prefix, "refresh_interval");
  require_positive(policy.min_delay, field_prefix, "min_delay");
  if (policy.non_fatal.contains(status_code::ok)) refuse(field_prefix, "non_fatal", "a set with OK", "failures");
  if (!(policy.max_extra_load >= 0 && policy.max_extra_load <= 1)) {
    refuse(field_prefix, "max_extra_load", text(policy.max_extra_load), "0 to 1");
  }
  if (!(policy.min_per_second >= 0) || std::isinf(policy.min_per_second)) {
    refuse(field_prefix, "min_per_second", text(policy.min_per_second), "a finite number of at least 0");
  }
}

retry_policy sequential(hedging_policy const& policy, retry_policy const& replaced) {
  return {.max_attempts = policy.max_attempts,
          .initial_backoff = duration::zero(),
          .max_backoff = duration::zero(),
          .multiplier = 1,
          .jitter = 0,
          .retryable = policy.non_fatal,
          .per_attempt_timeout = replaced.per_attempt_timeout};
}

}  // namespace millrace::retry
