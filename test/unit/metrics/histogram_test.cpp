// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/histogram.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

duration nanoseconds(double count) { return std::chrono::nanoseconds{static_cast<std::int64_t>(count)}; }

double error_of(duration measured, duration exact) {
  return std::abs(static_cast<double>((measured - exact).count())) / static_cast<double>(exact.count());
}

// what the histogram makes of one value, with others below and above it so that min and max do not help
duration seen_as(duration value) {
  histogram seen;
  seen.record(0ns);
  seen.record(value);
  seen.record(2h);
  return seen.percentile(50);
}

duration nearest_rank(std::vector<duration> const& sorted, double percent) {
  auto const rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

TEST_CASE("histogram: below 64 ns every value is exact", "[metrics][histogram]") {
  for (int value = 0; value < 64; ++value) CHECK(seen_as(duration{value}) == duration{value});
}

TEST_CASE("histogram: up to the longest duration no value is off by more than 1/64", "[metrics][histogram]") {
  CHECK(histogram::longest > 1h);
  double worst = 0;
  for (double value = 64; value <= static_cast<double>(histogram::longest.count()); value *= 1.0007) {
    worst = std::max(worst, error_of(seen_as(nanoseconds(value)), nanoseconds(value)));
  }
  for (int power = 6; power < 42; ++power) {
    for (std::int64_t near = -1; near <= 1; ++near) {
      duration const value{(std::int64_t{1} << power) + near};
      worst = std::max(worst, error_of(seen_as(value), value));
    }
  }
  worst = std::max(worst, error_of(seen_as(histogram::longest), histogram::longest));
  CHECK(worst <= 1.0 / 64);
  CHECK(worst > 1.0 / 70);
}

TEST_CASE("histogram: percentiles of random samples are the nearest rank to 1/64", "[metrics][histogram]") {
  rng random{4};
  for (double spread : {0.1, 5.0, 20.0}) {
    histogram seen;
    std::vector<duration> all;
    for (int i = 0; i < 20000; ++i) {
      all.push_back(nanoseconds(1000 * std::exp(spread * random.uniform())));
      seen.record(all.back());
    }
    std::sort(all.begin(), all.end());
    for (double percent : {0.001, 0.1, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
      CHECK(error_of(seen.percentile(percent), nearest_rank(all, percent)) <= 1.0 / 64);
    }
    CHECK(seen.percentile(0) == all.front());
    CHECK(seen.percentile(100) == all.back());
  }
}

TEST_CASE("histogram: percentiles never decrease and stay between min and max", "[metrics][histogram]") {
  rng random{8};
  histogram seen;
  for (int i = 0; i < 1000; ++i) seen.record(nanoseconds(std::exp(30 * random.uniform())));
  duration before = seen.min();
  for (int permille = -10; permille <= 1010; ++permille) {
    duration const now = seen.percentile(permille / 10.0);
    CHECK(now >= before);
    CHECK(now <= seen.max());
    before = now;
  }
  CHECK(seen.percentile(std::nan("")) == seen.min());
}

TEST_CASE("histogram: count, min and max are exact, the mean to a nanosecond", "[metrics][histogram]") {
  histogram seen;
  for (auto value : {1234567ns, 7654321ns, 1000001ns}) seen.record(value);
  CHECK(seen.count() == 3);
  CHECK(seen.min() == 1000001ns);
  CHECK(seen.max() == 7654321ns);
  CHECK(seen.mean() == 3296296ns);
}

TEST_CASE("histogram: of one value every percentile is that value", "[metrics][histogram]") {
  histogram seen;
  seen.record(1234567ns);
  for (double percent : {0.0, 1.0, 50.0, 100.0}) CHECK(seen.percentile(percent) == 1234567ns);
}

TEST_CASE("histogram: an empty one answers zero", "[metrics][histogram]") {
  histogram const none;
  CHECK(none.count() == 0);
  CHECK(none.percentile(50) == 0ns);
  CHECK(none.min() == 0ns);
  CHECK(none.max() == 0ns);
  CHECK(none.mean() == 0ns);
}

TEST_CASE("histogram: a duration beyond the range counts as the longest, and max stays exact", "[metrics][histogram]") {
  histogram seen;
  seen.record(1ms);
  seen.record(24h);
  seen.record(duration::max());
  CHECK(seen.count() == 3);
  CHECK(seen.max() == duration::max());
  CHECK(seen.percentile(100) == duration::max());
  CHECK(error_of(seen.percentile(60), histogram::longest) <= 1.0 / 64);
}

TEST_CASE("histogram: a negative duration counts as zero", "[metrics][histogram]") {
  histogram seen;
  seen.record(-5ms);
  CHECK(seen.count() == 1);
  CHECK(seen.min() == 0ns);
  CHECK(seen.max() == 0ns);
  CHECK(seen.mean() == 0ns);
}

TEST_CASE("histogram: merging equals recording everything in one", "[metrics][histogram]") {
  rng random{16};
  histogram left, right, both;
  for (int i = 0; i < 5000; ++i) {
    duration const value = nanoseconds(std::exp(25 * random.uniform()));
    (random.below(3) == 0 ? left : right).record(value);
    both.record(value);
  }
  left.merge(right);
  CHECK(left.count() == both.count());
  CHECK(left.min() == both.min());
  CHECK(left.max() == both.max());
  CHECK(error_of(left.mean(), both.mean()) < 1e-9);
  for (double percent = 0; percent <= 100; percent += 0.5) CHECK(left.percentile(percent) == both.percentile(percent));
}

TEST_CASE("histogram: merging takes the lower min and the higher max, from whichever side", "[metrics][histogram]") {
  histogram inner, outer;
  inner.record(3ms);
  outer.record(1ms);
  outer.record(9ms);
  histogram widened = inner, kept = outer;
  widened.merge(outer);
  kept.merge(inner);
  for (auto const& seen : {widened, kept}) {
    CHECK(seen.min() == 1ms);
    CHECK(seen.max() == 9ms);
  }
}

TEST_CASE("histogram: merging an empty one changes nothing", "[metrics][histogram]") {
  histogram seen;
  seen.record(3ms);
  seen.merge(histogram{});
  CHECK(seen.count() == 1);
  CHECK(seen.min() == 3ms);
  CHECK(seen.max() == 3ms);
}

TEST_CASE("histogram: a reset forgets everything", "[metrics][histogram]") {
  histogram seen;
  seen.record(3ms);
  seen.reset();
  CHECK(seen.count() == 0);
  CHECK(seen.percentile(50) == 0ns);
  seen.record(5ms);
  CHECK(seen.min() == 5ms);
  CHECK(seen.max() == 5ms);
}
