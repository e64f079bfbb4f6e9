// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/policy.hpp>

#include <support/catch.hpp>

#include <stdexcept>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
using retry::retry_policy;

namespace {

std::string refusal(retry_policy policy) {
  try {
    validate(policy, "client.retry");
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("retry_policy: the defaults and the edges are valid", "[retry][policy]") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.max_attempts = 1}) == "accepted");
  CHECK(refusal({.max_attempts = 5}) == "accepted");
  CHECK(refusal({.max_attempts = 1, .retryable = {}}) == "accepted");
  CHECK(refusal({.initial_backoff = 1s, .max_backoff = 1s, .multiplier = 1, .jitter = 0}) == "accepted");
}

TEST_CASE("retry_policy: a refusal names the field, its value and what is allowed", "[retry][policy]") {
  CHECK(refusal({.max_attempts = 0}) == "client.retry.max_attempts is 0; allowed: 1 to 5");
  CHECK(refusal({.max_attempts = 6}) == "client.retry.max_attempts is 6; allowed: 1 to 5");
  CHECK(refusal({.initial_backoff = 0ms}) == "client.retry.initial_backoff is 0ms; allowed: more than 0ms");
  CHECK(refusal({.max_backoff = 49ms}) == "client.retry.max_backoff is 49ms; allowed: at least initial_backoff, 50ms");
  CHECK(refusal({.multiplier = 0}) == "client.retry.multiplier is 0; allowed: a finite number of more than 0");
  CHECK(refusal({.jitter = 2}) == "client.retry.jitter is 2; allowed: 0 to 1");
  CHECK(refusal({.retryable = {status_code::ok}}) == "client.retry.retryable is a set with OK; allowed: failures");
  CHECK(refusal({.retryable = {}}) ==
        "client.retry.retryable is empty; allowed: at least one code, a rule, or max_attempts = 1");
  CHECK(refusal({.per_attempt_timeout = -1ms}) == "client.retry.per_attempt_timeout is -1ms; allowed: at least 0ms");
}
