// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/retry/attempt_machine.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/retry/throttle.hpp>

#include <support/catch.hpp>

using namespace millrace;
using namespace millrace::retry;
using namespace std::chrono_literals;

TEST_CASE("throttle: with half of the tokens or less there is no retry", "[retry]") {
  throttle one({.max_tokens = 4, .token_ratio = 0.5});
  CHECK(one.allows_retry());
  one.record_failure();
  CHECK(one.allows_retry());
  one.record_failure();
  CHECK_FALSE(one.allows_retry());
  one.record_success();
  CHECK(one.allows_retry());
}

TEST_CASE("throttle: tokens stay between none and all", "[retry]") {
  throttle one({.max_tokens = 2, .token_ratio = 0.6});
  for (int i = 0; i < 10; ++i) one.record_failure();
  one.record_success();
  CHECK_FALSE(one.allows_retry());
  one.record_success();
  CHECK(one.allows_retry());
  for (int i = 0; i < 10; ++i) one.record_success();
  one.record_failure();
  CHECK_FALSE(one.allows_retry());
}

TEST_CASE("throttle: each bad field is named", "[retry]") {
  CHECK_THROWS_WITH(validate(throttle_params{.max_tokens = 0}, "t"), "t.max_tokens is 0; allowed: 1 to 1000");
  CHECK_THROWS_WITH(validate(throttle_params{.max_tokens = 1001}, "t"), Catch::StartsWith("t.max_tokens is 1001"));
  CHECK_THROWS_WITH(validate(throttle_params{.token_ratio = 0}, "t"), Catch::StartsWith("t.token_ratio is 0"));
  CHECK_NOTHROW(validate(throttle_params{}, "t"));
}

TEST_CASE("throttle: only what a retry could mend counts as a failure", "[retry]") {
  retry_policy const policy{.max_attempts = 5};
  rng random(1);
  budget plenty({.min_per_second = 1000});
  auto const after = [&](attempt_outcome outcome) {
    throttle server({.max_tokens = 1, .token_ratio = 1});  // one failure empties it
    attempt_machine machine(policy, plenty, random, never, &server);
    outcome.at = time_point{} + 1s;
    attempt_action const action = machine.resume(outcome);
    return std::pair(action, server.allows_retry());
  };
  auto const [action, allows] = after({.at = {}, .code = status_code::unavailable});
  REQUIRE(std::holds_alternative<retry_denial>(action));
  CHECK(std::get<retry_denial>(action) == retry_denial::budget);
  CHECK_FALSE(allows);
  CHECK(after({.at = {}, .code = status_code::invalid_argument}).second);
  CHECK_FALSE(after({.at = {}, .code = status_code::invalid_argument, .pushback = "-1"}).second);
  CHECK(after({.at = {}, .code = status_code::invalid_argument, .pushback = "1"}).second);
  CHECK_FALSE(after({.at = {}, .code = status_code::unavailable, .committed = true}).second);
  CHECK(after({.at = {}, .code = status_code::unavailable, .never_left = true}).second);
}
