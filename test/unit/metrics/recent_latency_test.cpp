// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/recent_latency.hpp>

#include <support/catch.hpp>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point at(duration since_start) { return time_point{} + 1000s + since_start; }

}  // namespace

TEST_CASE("recent_latency: a value counts for one window to two", "[metrics]") {
  recent_latency one{10s};
  one.record(at(0s), 1ms);
  one.record(at(9s), 2ms);
  CHECK(one.count(at(9s)) == 2);
  CHECK(one.count(at(19s)) == 2);
  CHECK(one.count(at(20s)) == 0);
}

TEST_CASE("recent_latency: a silence forgets all, however long", "[metrics]") {
  for (duration const silence : {duration(21s), duration(60s), duration(24h)}) {
    recent_latency one{10s};
    one.record(at(0s), 1ms);
    CHECK(one.count(at(silence)) == 0);
    CHECK(one.percentile(at(silence), 50) == 0ms);
  }
}

TEST_CASE("recent_latency: a percentile is of both windows", "[metrics]") {
  recent_latency one{10s};
  for (int value = 1; value <= 50; ++value) one.record(at(1s), std::chrono::milliseconds(value));
  for (int value = 51; value <= 100; ++value) one.record(at(11s), std::chrono::milliseconds(value));
  auto const p90 = one.percentile(at(12s), 90);
  CHECK(p90 > 88ms);
  CHECK(p90 < 92ms);
}
