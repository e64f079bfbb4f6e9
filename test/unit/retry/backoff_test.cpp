// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/backoff.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using retry::backoff;
using retry::backoff_params;

namespace {

std::string refusal(backoff_params params) {
  try {
    validate(params, "pool.redial");
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("backoff: without jitter the waits are initial × multiplier^(n-1), held at max", "[retry][backoff]") {
  backoff waits{{.initial = 100ms, .multiplier = 2, .max = 1s, .jitter = 0}};
  rng random{1};
  for (auto expected : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms, 1000ms}) CHECK(waits.next(random) == expected);
  CHECK(waits.failures() == 7);
}

TEST_CASE("backoff: a reset forgets the failures", "[retry][backoff]") {
  backoff waits{{.jitter = 0}};
  rng random{1};
  for (int i = 0; i < 5; ++i) waits.next(random);
  waits.reset();
  CHECK(waits.failures() == 0);
  CHECK(waits.next(random) == 100ms);
  CHECK(waits.failures() == 1);
}

TEST_CASE("backoff: max holds the first wait too", "[retry][backoff]") {
  backoff waits{{.initial = 5s, .max = 1s, .jitter = 0}};
  rng random{1};
  CHECK(waits.next(random) == 1s);
}

TEST_CASE("backoff: jitter spreads each wait evenly over its range and no further", "[retry][backoff]") {
  rng random{20};
  for (unsigned n : {1u, 3u, 30u}) {
    double const middle = std::min(100e6 * std::pow(1.6, n - 1), 10e9);
    std::vector<double> waits;
    for (int i = 0; i < 10000; ++i) {
      backoff one{{}};
      for (unsigned before = 1; before < n; ++before) one.next(random);
      waits.push_back(static_cast<double>(one.next(random).count()) / middle);
    }
    auto const [low, high] = std::minmax_element(waits.begin(), waits.end());
    CHECK(*low >= 0.8 - 1e-6);
    CHECK(*low < 0.801);
    CHECK(*high <= 1.2 + 1e-6);
    CHECK(*high > 1.199);
    // uniform over 0.4: the mean of 10000 has a standard error of 0.00115, the bound is five of them
    double sum = 0;
    for (double wait : waits) sum += wait;
    CHECK(std::abs(sum / 10000 - 1) < 0.006);
    // a quarter lies below 0.9: standard error 0.0043, the bound is five of them
    auto const below = std::count_if(waits.begin(), waits.end(), [](double wait) { return wait < 0.9; });
    CHECK(std::abs(static_cast<double>(below) / 10000 - 0.25) < 0.022);
  }
}

TEST_CASE("backoff: no number of failures overflows", "[retry][backoff]") {
  backoff waits{{.initial = 1ns, .multiplier = 1e300, .max = duration::max(), .jitter = 1}};
  rng random{3};
  for (int i = 0; i < 100000; ++i) {
    duration const wait = waits.next(random);
    if (wait < duration::zero()) FAIL("wait " << i << " is " << wait.count());
  }
  CHECK(waits.failures() == 100000);
}

TEST_CASE("backoff: at the greatest max the wait saturates", "[retry][backoff]") {
  backoff waits{{.initial = duration::max(), .multiplier = 2, .max = duration::max(), .jitter = 0}};
  rng random{3};
  CHECK(waits.next(random) == duration::max());
  CHECK(waits.next(random) == duration::max());
}

TEST_CASE("backoff: the defaults and the edges are valid", "[retry][backoff]") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.initial = 1s, .multiplier = 1, .max = 1s, .jitter = 1}) == "accepted");
  CHECK(refusal({.jitter = 0}) == "accepted");
}

TEST_CASE("backoff: a refusal names the field, its value and what is allowed", "[retry][backoff]") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(refusal({.initial = 0ms}) == "pool.redial.initial is 0ms; allowed: more than 0ms");
  CHECK(refusal({.initial = -500us}) == "pool.redial.initial is -0.5ms; allowed: more than 0ms");
  CHECK(refusal({.multiplier = 0.5}) == "pool.redial.multiplier is 0.5; allowed: a finite number of at least 1");
  CHECK(refusal({.multiplier = nan}) == "pool.redial.multiplier is nan; allowed: a finite number of at least 1");
  CHECK(refusal({.multiplier = 1 / 0.0}) == "pool.redial.multiplier is inf; allowed: a finite number of at least 1");
  CHECK(refusal({.max = 99ms}) == "pool.redial.max is 99ms; allowed: at least initial, 100ms");
  CHECK(refusal({.jitter = 1.5}) == "pool.redial.jitter is 1.5; allowed: 0 to 1");
  CHECK(refusal({.jitter = -0.25}) == "pool.redial.jitter is -0.25; allowed: 0 to 1");
  CHECK(refusal({.jitter = nan}) == "pool.redial.jitter is nan; allowed: 0 to 1");
}

TEST_CASE("backoff: without a prefix a refusal names the bare field", "[retry][backoff]") {
  CHECK_THROWS_WITH(validate(backoff_params{.initial = 0ms}, ""), "initial is 0ms; allowed: more than 0ms");
}
