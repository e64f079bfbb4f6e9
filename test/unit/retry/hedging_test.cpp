// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/hedging.hpp>

#include <support/catch.hpp>

#include <limits>
#include <stdexcept>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
using retry::hedging_policy;

namespace {

std::string refusal(hedging_policy const& policy) {
  try {
    validate(policy, "client.hedging");
    return "accepted";
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("hedging_policy: the defaults are allowed, and gRPC's delay of none at all", "[retry][hedge]") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.max_attempts = 5, .delay = 0ms, .non_fatal = {}, .max_extra_load = 0, .min_per_second = 0}) ==
        "accepted");
}

TEST_CASE("hedging_policy: a refusal names the field, its value and what is allowed", "[retry][hedge]") {
  CHECK(refusal({.max_attempts = 1}) == "client.hedging.max_attempts is 1; allowed: 2 to 5");
  CHECK(refusal({.max_attempts = 6}) == "client.hedging.max_attempts is 6; allowed: 2 to 5");
  CHECK(refusal({.delay = -1ms}) == "client.hedging.delay is -1ms; allowed: at least 0ms, or none for the percentile");
  CHECK(refusal({.percentile = 0}) == "client.hedging.percentile is 0; allowed: more than 0 and less than 100");
  CHECK(refusal({.percentile = 100}) == "client.hedging.percentile is 100; allowed: more than 0 and less than 100");
  CHECK(refusal({.min_data_points = 0}) == "client.hedging.min_data_points is 0; allowed: at least 1");
  CHECK(refusal({.window = 0s}) == "client.hedging.window is 0ms; allowed: more than 0ms");
  CHECK(refusal({.refresh_interval = 0s}) == "client.hedging.refresh_interval is 0ms; allowed: more than 0ms");
  CHECK(refusal({.min_delay = 0s}) == "client.hedging.min_delay is 0ms; allowed: more than 0ms");
  CHECK(refusal({.non_fatal = {status_code::ok}}) == "client.hedging.non_fatal is a set with OK; allowed: failures");
  CHECK(refusal({.max_extra_load = 1.5}) == "client.hedging.max_extra_load is 1.5; allowed: 0 to 1");
  CHECK(refusal({.min_per_second = std::numeric_limits<double>::infinity()}) ==
        "client.hedging.min_per_second is inf; allowed: a finite number of at least 0");
}

TEST_CASE("hedging_policy: what fails alone is followed at once, within the policy, by the same patience",
          "[retry][hedge]") {
  auto const made = retry::sequential({.max_attempts = 4, .non_fatal = {status_code::aborted}},
                                      {.max_attempts = 2, .per_attempt_timeout = 70ms});
  CHECK(made.max_attempts == 4);
  CHECK(made.initial_backoff == 0ms);
  CHECK(made.retryable == status_code_set{status_code::aborted});
  CHECK(made.per_attempt_timeout == 70ms);
}
