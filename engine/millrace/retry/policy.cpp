// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/policy.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <cmath>

namespace millrace::retry {

void validate(retry_policy const& policy, std::string_view field_prefix) {
  using impl::refuse, impl::text;
  if (policy.max_attempts < 1 || policy.max_attempts > most_attempts) {
    refuse(field_prefix, "max_attempts", text(policy.max_attempts), "1 to 5");
  }
  if (policy.initial_backoff <= duration::zero()) {
    refuse(field_prefix, "initial_backoff", text(policy.initial_backoff), "more than 0ms");
  }
  if (policy.max_backoff < policy.initial_backoff) {
    refuse(field_prefix, "max_backoff", text(policy.max_backoff),
           "at least initial_backoff, " + text(policy.initial_backoff));
  }
  if (!(policy.multiplier > 0) || std::isinf(policy.multiplier)) {
    refuse(field_prefix, "multiplier", text(policy.multiplier), "a finite number of more than 0");
  }
  if (!(policy.jitter >= 0 && policy.jitter <= 1)) refuse(field_prefix, "jitter", text(policy.jitter), "0 to 1");
  if (policy.retryable.contains(status_code::ok)) refuse(field_prefix, "retryable", "a set with OK", "failures");
  if (policy.retryable.empty() && policy.max_attempts > 1 && !policy.rule) {
    refuse(field_prefix, "retryable", "empty", "at least one code, a rule, or max_attempts = 1");
  }
  if (policy.per_attempt_timeout < duration::zero()) {
    refuse(field_prefix, "per_attempt_timeout", text(policy.per_attempt_timeout), "at least 0ms");
  }
}

}  // namespace millrace::retry
