// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/slow_start.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <limits>

using namespace millrace;
using namespace std::chrono_literals;
using balance::slow_start_factor;
using balance::slow_start_params;
using balance::slow_start_step;

TEST_CASE("slow_start: without a window the weight is whole from the first moment", "[balance][slow_start]") {
  CHECK(slow_start_factor({}, 0s) == 1);
  CHECK(slow_start_factor({}, 1h) == 1);
}

TEST_CASE("slow_start: the weight grows in a straight line from its least to the whole", "[balance][slow_start]") {
  slow_start_params const params{.window = 10s};
  CHECK(slow_start_factor(params, -1s) == 0.1);
  CHECK(slow_start_factor(params, 0s) == 0.1);
  CHECK(slow_start_factor(params, 1s) == 0.1);
  CHECK(slow_start_factor(params, 2s) == Approx(0.2));
  CHECK(slow_start_factor(params, 5s) == Approx(0.5));
  CHECK(slow_start_factor(params, 10s - 1ns) < 1);
  CHECK(slow_start_factor(params, 10s) == 1);
  CHECK(slow_start_factor(params, duration::max()) == 1);
}

TEST_CASE("slow_start: aggression makes it sooner, or later", "[balance][slow_start]") {
  CHECK(slow_start_factor({.window = 10s, .aggression = 2}, 2500ms) == Approx(0.5));
  CHECK(slow_start_factor({.window = 10s, .aggression = 0.5}, 5s) == Approx(0.25));
  CHECK(slow_start_factor({.window = 10s, .aggression = 0.5, .min_weight = 0.3}, 5s) == 0.3);
  CHECK(slow_start_factor({.window = 10s, .aggression = 0.5}, -8s) == 0.1);
}

TEST_CASE("slow_start: it never shrinks, and a step changes it little", "[balance][slow_start]") {
  slow_start_params const params{.window = 30s};
  CHECK(slow_start_step(params) == 300ms);
  double before = 0.1;
  for (duration at = 0s; at <= 31s; at += slow_start_step(params)) {
    double const now = slow_start_factor(params, at);
    CHECK(now >= before);
    CHECK(now - before < 0.0101);
    before = now;
  }
  CHECK(before == 1);
}

TEST_CASE("slow_start: a short window is not looked at all the time", "[balance][slow_start]") {
  CHECK(slow_start_step({.window = 100ms}) == 10ms);
  CHECK(slow_start_step({}) == 10ms);
}

TEST_CASE("slow_start: what is not allowed is refused by name", "[balance][slow_start]") {
  auto const check = [](slow_start_params const& params) { validate(params, "pool_params.slow_start"); };
  CHECK_NOTHROW(check({}));
  CHECK_NOTHROW(check({.window = 1h, .aggression = 0.001, .min_weight = 1}));
  CHECK_THROWS_WITH(check({.window = -1ns}), "pool_params.slow_start.window is -1 ns; allowed: 0 or more");
  CHECK_THROWS_WITH(check({.aggression = 0}),
                    "pool_params.slow_start.aggression is 0.000000; allowed: more than 0, finite");
  CHECK_THROWS(check({.aggression = std::numeric_limits<double>::quiet_NaN()}));
  CHECK_THROWS(check({.aggression = std::numeric_limits<double>::infinity()}));
  CHECK_THROWS_WITH(check({.min_weight = 0}),
                    "pool_params.slow_start.min_weight is 0.000000; allowed: more than 0, to 1");
  CHECK_THROWS(check({.min_weight = 1.01}));
  CHECK_THROWS(check({.min_weight = std::numeric_limits<double>::quiet_NaN()}));
}
