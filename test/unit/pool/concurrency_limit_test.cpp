// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/pool/concurrency_limit.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 1000s;

/// A server with `places` calls at work at once, the others in line, and a client that has `demand` calls in flight but for
/// the limit.
class simulation {
 public:
  explicit simulation(std::uint32_t places, duration service, std::uint64_t seed = 1,
                      concurrency_limit_params params = {})
      : random_(seed), limit_(params, random_), service_(service) {
    set_places(places);
  }

  std::function<duration(duration, rng&)> spread = [](duration service, rng&) { return service; };
  std::uint32_t demand = 5000;
  double dropped_share = 0;  // refused at once

  void set_service(duration service) { service_ = service; }

  void set_places(std::uint32_t places) {
    places_ = places;
    std::vector<time_point> free(places, now_);
    free_at_ = decltype(free_at_)(std::greater<>{}, std::move(free));
  }

  std::uint32_t limit() const { return limit_.limit(); }
  concurrency_limit const& subject() const { return limit_; }
  time_point now() const { return now_; }

  // what happened in a run
  struct record {
    std::uint64_t answered = 0;
    std::uint32_t lowest = ~0u;  // the limit, while not measuring
    std::uint32_t highest = 0;
    std::uint32_t lowest_measuring = ~0u;
    duration measuring{};
    duration longest_measuring{};
    double mean_limit = 0;  // over time
    double rate = 0;        // calls a second
  };

  record run(duration length) {
    record seen;
    time_point const begin = now_;
    time_point const end = now_ + length;
    double area = 0;
    duration measuring{};
    fill();
    while (!calls_.empty() && calls_.top().ends <= end) {
      call const one = calls_.top();
      calls_.pop();
      duration const passed = one.ends - now_;
      now_ = one.ends;
      area += std::chrono::duration<double>(passed).count() * limit();
      if (limit_.measuring()) {
        seen.measuring += passed;
        measuring += passed;
        seen.lowest_measuring = std::min(seen.lowest_measuring, limit());
      } else {
        measuring = {};
        seen.lowest = std::min(seen.lowest, limit());
        seen.highest = std::max(seen.highest, limit());
      }
      seen.longest_measuring = std::max(seen.longest_measuring, measuring);
      auto const in_flight = static_cast<std::uint32_t>(calls_.size() + 1);
      limit_.on_done(now_, one.ends - one.began, in_flight, one.dropped);
      seen.answered += one.dropped ? 0 : 1;
      fill();
    }
    double const seconds = std::chrono::duration<double>(now_ - begin).count();
    seen.mean_limit = seconds > 0 ? area / seconds : 0;
    now_ = end;
    seen.rate = static_cast<double>(seen.answered) / std::chrono::duration<double>(length).count();
    return seen;
  }

 private:
  struct call {
    time_point began;
    time_point ends;
    bool dropped;
    bool operator>(call const& other) const { return ends > other.ends; }
  };
  template <class T>
  using earliest_first = std::priority_queue<T, std::vector<T>, std::greater<>>;

  void fill() {
    while (calls_.size() < std::min(demand, limit())) {
      if (random_.uniform() < dropped_share) {
        calls_.push({.began = now_, .ends = now_ + 100us, .dropped = true});
        continue;
      }
      time_point const begins = std::max(now_, free_at_.top());
      time_point const ends = begins + spread(service_, random_);
      free_at_.pop();
      free_at_.push(ends);
      calls_.push({.began = now_, .ends = ends, .dropped = false});
    }
  }

  rng random_;
  concurrency_limit limit_;
  duration service_;
  std::uint32_t places_ = 0;
  time_point now_ = start;
  earliest_first<time_point> free_at_;
  earliest_first<call> calls_;
};

duration exponential(duration service, rng& random) {
  return std::chrono::duration_cast<duration>(service * -std::log(1 - random.uniform()));
}

double capacity(std::uint32_t places, duration service) {
  return places / std::chrono::duration<double>(service).count();
}

void refused(concurrency_limit_params params, char const* text) {
  CHECK_THROWS_AS(validate(params, "pool_params.limit"), std::invalid_argument);
  CHECK_THROWS_WITH(validate(params, "pool_params.limit"), std::string("pool_params.limit.") + text);
}

}  // namespace

TEST_CASE("concurrency_limit: it becomes what a server carries, and some", "[pool][concurrency_limit]") {
  for (duration const service : {duration(1ms), duration(20ms), duration(500ms)}) {
    for (std::uint32_t const places : {4u, 20u, 50u, 200u}) {
      INFO(places << " places, " << service.count() << " ns");
      simulation one(places, service);
      one.run(10s + 200 * service);
      auto const seen = one.run(20s + 400 * service);
      double const expected = 1.25 * places + std::sqrt(1.25 * places);
      CHECK(seen.lowest >= places);
      CHECK(seen.highest <= 1.25 * expected);
      CHECK(seen.mean_limit == Approx(expected).epsilon(0.15));
      CHECK(seen.rate > 0.95 * capacity(places, service));
      // a base of the service time itself
      CHECK(one.subject().base_latency() >= service * 99 / 100);
      CHECK(one.subject().base_latency() <= service * 111 / 100);
    }
  }
}

TEST_CASE("concurrency_limit: so it does when the service times vary much", "[pool][concurrency_limit]") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    for (std::uint32_t const places : {10u, 50u, 200u}) {
      INFO("seed " << seed << ", " << places << " places");
      simulation one(places, 20ms, seed);
      one.spread = exponential;
      one.run(20s);
      auto const seen = one.run(60s);
      CHECK(seen.mean_limit >= 0.9 * places);
      CHECK(seen.mean_limit <= 2 * places + 5);
      CHECK(seen.rate > 0.9 * capacity(places, 20ms));
    }
  }
}

TEST_CASE("concurrency_limit: it is there within seconds, from below and from above", "[pool][concurrency_limit]") {
  simulation from_below(200, 10ms, 1, {.initial = 3});
  from_below.run(5s);
  CHECK(from_below.limit() >= 200);
  simulation from_above(20, 10ms, 1, {.initial = 1000});
  from_above.run(5s);
  CHECK(from_above.limit() <= 40);
}

TEST_CASE("concurrency_limit: a slow-down that passes leaves no trace", "[pool][concurrency_limit]") {
  simulation one(50, 20ms);
  one.run(30s);
  one.set_service(200ms);
  one.run(10s);
  one.set_service(20ms);
  one.run(10s);
  auto const seen = one.run(30s);
  CHECK(seen.lowest >= 50);
  CHECK(seen.highest <= 100);
}

TEST_CASE("concurrency_limit: a service that is slower for good gets its concurrency back",
          "[pool][concurrency_limit]") {
  for (int const times : {2, 4, 20}) {
    INFO(times << " times slower");
    simulation one(50, 10ms);
    one.run(30s);
    one.set_service(10ms * times);
    // not only at the next measurement, in up to a minute
    one.run(15s);
    auto const seen = one.run(15s);
    CHECK(seen.lowest >= 50);
    CHECK(seen.rate > 0.95 * capacity(50, 10ms * times));
    one.run(120s);
    CHECK(one.limit() <= 100);
  }
}

TEST_CASE("concurrency_limit: one that is faster for good is not let queue for long", "[pool][concurrency_limit]") {
  simulation one(50, 100ms);
  one.run(30s);
  one.set_service(10ms);
  one.run(10s);
  auto const seen = one.run(10s);
  CHECK(seen.lowest >= 50);
  CHECK(seen.highest <= 100);
}

TEST_CASE("concurrency_limit: it follows places that go and come", "[pool][concurrency_limit]") {
  simulation one(100, 10ms);
  one.run(30s);
  one.set_places(10);
  one.run(10s);
  CHECK(one.limit() <= 22);
  CHECK(one.run(10s).rate > 0.95 * capacity(10, 10ms));
  one.set_places(100);
  one.run(10s);
  CHECK(one.run(10s).rate > 0.95 * capacity(100, 10ms));
}

TEST_CASE("concurrency_limit: a steady load of an hour does not wear it down", "[pool][concurrency_limit]") {
  for (double const load : {0.3, 0.7, 1.0, 1.2}) {
    INFO(load << " of the capacity");
    simulation one(20, 50ms, 3);
    one.spread = exponential;
    one.demand = static_cast<std::uint32_t>(20 * load);
    one.run(60s);
    auto const seen = one.run(3600s);
    CHECK(seen.rate > 0.95 * std::min(load, 1.0) * capacity(20, 50ms));
  }
}

TEST_CASE("concurrency_limit: measuring is short and seldom, and goes no lower than it has to",
          "[pool][concurrency_limit]") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    INFO("seed " << seed);
    simulation one(100, 20ms, seed);
    one.spread = [](duration service, rng& random) {
      return std::chrono::duration_cast<duration>(service * random.between(0.7, 1.3));
    };
    one.run(60s);
    auto const seen = one.run(600s);
    CHECK(seen.measuring > 0s);
    CHECK(seen.measuring < 6s);
    CHECK(seen.longest_measuring < 1s);
    CHECK(seen.lowest_measuring >= 25);
    CHECK(seen.rate > 0.99 * capacity(100, 20ms));
  }
}

TEST_CASE("concurrency_limit: measurements of many clients are spread", "[pool][concurrency_limit]") {
  duration least = 1h;
  duration most = 0s;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    simulation one(20, 10ms, seed);
    one.run(10s);
    time_point const before = one.now();
    while (!one.subject().measuring()) one.run(20ms);
    least = std::min(least, one.now() - before);
    most = std::max(most, one.now() - before);
  }
  CHECK(least >= 40s);
  CHECK(most <= 60s);
  CHECK(most - least > 6s);
}

TEST_CASE("concurrency_limit: while few calls are made it stays what it is", "[pool][concurrency_limit]") {
  simulation one(1000, 10ms);
  one.demand = 9;
  one.run(30s);
  CHECK(one.limit() == 20);
  one.set_service(50ms);
  one.run(300s);
  CHECK((one.limit() == 20 || one.subject().measuring()));
}

TEST_CASE("concurrency_limit: one call in a hundred that hangs does not matter", "[pool][concurrency_limit]") {
  simulation one(50, 10ms);
  one.spread = [](duration service, rng& random) { return random.below(100) == 0 ? service * 30 : service; };
  one.run(30s);
  auto const seen = one.run(300s);
  // which takes a quarter of the places by itself
  CHECK(seen.mean_limit >= 40);
  CHECK(seen.mean_limit <= 120);
}

TEST_CASE("concurrency_limit: one call that took a hundred times as long does not lower it",
          "[pool][concurrency_limit]") {
  rng random{1};
  concurrency_limit one({.initial = 10, .min = 10}, random);
  time_point now = start;
  auto const window = [&](duration longest) {
    for (int call = 1; call <= 50; ++call) {
      one.on_done(now += 30ms, call == 50 ? longest : 10ms, one.limit(), false);
    }
    return one.limit();
  };
  for (int times = 0; times < 5; ++times) window(10ms);
  std::uint32_t const before = one.limit();
  REQUIRE(before > 10);
  REQUIRE(before < 50);
  CHECK(window(1s) > before);
}

TEST_CASE("concurrency_limit: refusals lower it, all of them to its minimum, a few of them not",
          "[pool][concurrency_limit]") {
  simulation one(50, 10ms);
  one.run(30s);
  one.dropped_share = 0.01;
  CHECK(one.run(60s).mean_limit >= 50);
  one.dropped_share = 0.5;
  one.run(10s);
  CHECK(one.run(10s).mean_limit < 25);
  one.dropped_share = 1;
  one.run(10s);
  CHECK(one.limit() == 3);
  one.dropped_share = 0;
  one.run(10s);
  CHECK(one.run(10s).lowest >= 50);
}

TEST_CASE("concurrency_limit: it stays within its bounds", "[pool][concurrency_limit]") {
  simulation low(1, 10ms, 1, {.initial = 10, .min = 10, .max = 30});
  auto const few = low.run(120s);
  CHECK(few.lowest >= 10);
  CHECK(few.lowest_measuring >= 10);
  simulation high(1000, 10ms, 1, {.initial = 10, .min = 10, .max = 30});
  auto const many = high.run(120s);
  CHECK(many.highest == 30);
}

TEST_CASE("concurrency_limit: calls that were started under another limit are not counted",
          "[pool][concurrency_limit]") {
  rng random{1};
  concurrency_limit one({.initial = 4, .min = 2, .min_samples = 1}, random);
  // as many as the limit are a window: after the second it measures, at half of it
  for (int call = 0; call < 4; ++call) one.on_done(start, 10ms, 4, false);
  REQUIRE(one.limit() == 4);
  for (int call = 0; call < 4; ++call) one.on_done(start + 100ms, 10ms, 4, false);
  REQUIRE(one.limit() == 2);
  for (int call = 0; call < 100; ++call) one.on_done(start + 150ms, 51ms, 4, false);
  CHECK(one.limit() == 2);
  for (int call = 0; call < 2; ++call) one.on_done(start + 200ms, 10ms, 2, false);
  CHECK(one.limit() == 4);
  CHECK(one.base_latency() == 10ms);
}

TEST_CASE("concurrency_limit: the same calls lead to the same limit", "[pool][concurrency_limit]") {
  auto const limit_after = [](std::uint64_t seed) {
    simulation one(30, 10ms, seed);
    one.spread = exponential;
    return one.run(100s).mean_limit;
  };
  CHECK(limit_after(5) == limit_after(5));
  CHECK(limit_after(5) != limit_after(6));
}

TEST_CASE("concurrency_limit: latencies of nothing are survived", "[pool][concurrency_limit]") {
  rng random{1};
  concurrency_limit one({}, random);
  for (int call = 0; call < 10'000; ++call) one.on_done(start + 1ms * call, 0ns, 20, call % 3 == 0);
  CHECK(one.limit() >= 3);
  CHECK(one.limit() <= 1000);
}

TEST_CASE("concurrency_limit_params: each bad field is named with its value and what is allowed",
          "[pool][concurrency_limit]") {
  refused({.min = 0}, "min is 0; allowed: 1 or more");
  refused({.min = 5, .max = 4}, "max is 4; allowed: at least min, 5");
  refused({.initial = 2}, "initial is 2; allowed: min to max, 3 to 1000");
  refused({.initial = 50, .max = 40}, "initial is 50; allowed: min to max, 3 to 40");
  refused({.sample_window = 0s}, "sample_window is 0ms; allowed: more than 0ms");
  refused({.min_samples = 0}, "min_samples is 0; allowed: 1 or more");
  refused({.tolerance = -1}, "tolerance is -1; allowed: a finite number of at least 0");
  refused({.remeasure_interval = 0s}, "remeasure_interval is 0ms; allowed: more than 0ms");
  CHECK_NOTHROW(validate(concurrency_limit_params{}, "pool_params.limit"));
}
