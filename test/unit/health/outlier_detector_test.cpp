// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/outlier_detector.hpp>

#include <millrace/base/rng.hpp>

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::health;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 1000s;

outlier_params rates_only(success_rate_params by = {}) { return {.success_rate = by, .failure_percentage = {}}; }
outlier_params percentages_only(failure_percentage_params by = {}) {
  return {.success_rate = {}, .failure_percentage = by};
}

struct fixture {
  explicit fixture(outlier_params with, std::uint32_t hosts = 5) : params(with) {
    for (std::uint32_t number = 0; number < hosts; ++number) machine.add(number);
  }

  void calls(std::uint32_t host, int successes, int failures) {
    for (int i = 0; i < successes; ++i) machine.record(host, true);
    for (int i = 0; i < failures; ++i) machine.record(host, false);
  }
  void all_but(std::uint32_t host, std::uint32_t hosts, int successes) {
    for (std::uint32_t other = 0; other < hosts; ++other) {
      if (other != host) calls(other, successes, 0);
    }
  }
  std::vector<outlier_change> sweep() {
    auto const changes = machine.sweep(now, random);
    return {changes.begin(), changes.end()};
  }
  // at that many seconds
  std::vector<outlier_change> sweep_at(duration after) {
    now = start + after;
    return sweep();
  }
  std::vector<std::uint32_t> ejected(std::vector<outlier_change> const& changes) {
    std::vector<std::uint32_t> numbers;
    for (auto const& one : changes) {
      if (one.decision == outlier_decision::ejected) numbers.push_back(one.endpoint);
    }
    return numbers;
  }

  outlier_params params;
  rng random{3};
  time_point now = start + 10s;
  outlier_detector machine{params, start};
};

using numbers = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE(
    "outlier_detector: success rates 1, 1, 1, 1 and 0.5 have a mean of 0.9 and a deviation of 0.2, so 0.52 is least",
    "[health][outlier]") {
  fixture one{rates_only()};
  one.all_but(4, 5, 100);
  one.calls(4, 50, 50);
  auto const changes = one.sweep();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].endpoint == 4);
  CHECK(changes[0].decision == outlier_decision::ejected);
  CHECK(changes[0].method == outlier_method::success_rate);
  CHECK(changes[0].until == one.now + 30s);
  CHECK(one.machine.is_ejected(4));
  CHECK(one.machine.ejected() == 1);
}

TEST_CASE(
    "outlier_detector: success rates 1, 1, 1, 0.5 and 0.5 have a mean of 0.8 and a deviation of 0.245: nobody is out",
    "[health][outlier]") {
  fixture one{rates_only()};
  for (std::uint32_t host : {0u, 1u, 2u}) one.calls(host, 100, 0);
  for (std::uint32_t host : {3u, 4u}) one.calls(host, 50, 50);
  CHECK(one.sweep().empty());
}

TEST_CASE("outlier_detector: the factor is in thousandths of a deviation", "[health][outlier]") {
  // 1 ×5, 0.5 and 0.4: mean 0.8429, deviation 0.2499; 0.4 is 1.772 deviations below, 0.5 is 1.372
  auto const out = [](std::uint32_t factor) {
    fixture one{rates_only({.stdev_factor = factor}), 7};
    one.params.max_ejection_percent = 100;
    for (std::uint32_t host = 0; host < 5; ++host) one.calls(host, 100, 0);
    one.calls(5, 50, 50);
    one.calls(6, 40, 60);
    return one.ejected(one.sweep());
  };
  CHECK(out(1370) == numbers{5, 6});
  CHECK(out(1375) == numbers{6});
  CHECK(out(1770) == numbers{6});
  CHECK(out(1775).empty());
}

TEST_CASE("outlier_detector: an endpoint below the volume is neither judged nor compared with", "[health][outlier]") {
  fixture one{rates_only(), 6};
  one.all_but(5, 5, 100);
  one.calls(4, 0, 0);
  one.calls(5, 0, 99);
  CHECK(one.sweep().empty());
}

TEST_CASE("outlier_detector: with fewer endpoints of volume than the minimum nobody is judged", "[health][outlier]") {
  auto const judged = [](std::uint32_t hosts) {
    fixture one{{}, hosts};
    one.all_but(0, hosts, 100);
    one.calls(0, 0, 100);
    return one.ejected(one.sweep());
  };
  CHECK(judged(4).empty());
  CHECK(judged(5) == numbers{0});
}

TEST_CASE("outlier_detector: more failures than the threshold eject, as many do not", "[health][outlier]") {
  for (int const failures : {85, 86}) {
    fixture one{percentages_only()};
    one.all_but(2, 5, 100);
    one.calls(2, 100 - failures, failures);
    auto const changes = one.sweep();
    CHECK(changes.size() == (failures == 86 ? 1 : 0));
    if (!changes.empty()) CHECK(changes[0].method == outlier_method::failure_percentage);
  }
}

TEST_CASE("outlier_detector: the volume of the failure percentage is 50", "[health][outlier]") {
  for (int const failures : {49, 50}) {
    fixture one{percentages_only({.minimum_hosts = 1})};
    one.calls(2, 0, failures);
    CHECK(one.sweep().size() == (failures == 50 ? 1 : 0));
  }
}

TEST_CASE("outlier_detector: only the calls of the last interval count", "[health][outlier]") {
  fixture one{percentages_only({.minimum_hosts = 1})};
  one.calls(2, 0, 49);
  CHECK(one.sweep_at(10s).empty());
  one.calls(2, 0, 49);
  CHECK(one.sweep_at(20s).empty());
}

TEST_CASE("outlier_detector: an endpoint found by both methods is ejected once", "[health][outlier]") {
  fixture one{{}};
  one.all_but(3, 5, 100);
  one.calls(3, 0, 100);
  auto const changes = one.sweep();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].method == outlier_method::success_rate);
  CHECK(changes[0].until == one.now + 30s);
}

TEST_CASE("outlier_detector: each ejection in succession is a base longer; an interval without one takes that back",
          "[health][outlier]") {
  fixture one{percentages_only({.minimum_hosts = 1})};
  auto const fail = [&] { one.calls(0, 0, 50); };
  fail();
  CHECK(one.sweep_at(10s).at(0).until == start + 40s);  // 1 × 30 s
  CHECK(one.sweep_at(20s).empty());
  CHECK(one.sweep_at(30s).empty());
  auto const back = one.sweep_at(40s);
  REQUIRE(back.size() == 1);
  CHECK(back[0].decision == outlier_decision::readmitted);
  CHECK(back[0].method == outlier_method::failure_percentage);
  fail();
  CHECK(one.sweep_at(50s).at(0).until == start + 110s);  // 2 × 30 s
  CHECK(one.sweep_at(110s).at(0).decision == outlier_decision::readmitted);
  CHECK(one.sweep_at(120s).empty());  // the multiplier is 1 again
  fail();
  CHECK(one.sweep_at(130s).at(0).until == start + 190s);  // 2 × 30 s
  CHECK(one.sweep_at(190s).at(0).decision == outlier_decision::readmitted);
  CHECK(one.sweep_at(200s).empty());
  CHECK(one.sweep_at(210s).empty());  // 0
  fail();
  CHECK(one.sweep_at(220s).at(0).until == start + 250s);  // 1 × 30 s
}

TEST_CASE("outlier_detector: no ejection is longer than the maximum, or than the base where that is more",
          "[health][outlier]") {
  auto const times = [](duration base, duration most) {
    fixture one{percentages_only({.minimum_hosts = 1})};
    one.params.base_ejection_time = base;
    one.params.max_ejection_time = most;
    std::vector<duration> all;
    for (int i = 0; i < 13; ++i) {
      one.calls(0, 0, 50);
      all.push_back(one.sweep().at(0).until - one.now);
      one.now += all.back();
      one.sweep();
    }
    return all;
  };
  auto const usual = times(30s, 300s);
  for (int i = 0; i < 13; ++i) CHECK(usual[static_cast<std::size_t>(i)] == std::min((i + 1) * 30s, 300s));
  for (duration const time : times(30s, 10s)) CHECK(time == 30s);
  auto const uneven = times(40s, 100s);
  CHECK(uneven[1] == 80s);
  CHECK(uneven[2] == 100s);
}

TEST_CASE("outlier_detector: one endpoint may be ejected however few there are, a second only within the percentage",
          "[health][outlier]") {
  auto const ejected = [](std::uint32_t hosts, std::uint32_t percent) {
    fixture one{percentages_only(), hosts};
    one.params.max_ejection_percent = percent;
    for (std::uint32_t host = 0; host < hosts; ++host) one.calls(host, 0, 100);
    auto const changes = one.sweep();
    CHECK(changes.size() == hosts);
    for (auto const& change : changes) {
      bool const out = change.decision == outlier_decision::ejected;
      CHECK((out || change.decision == outlier_decision::spared_by_limit));
      CHECK((change.until != never) == out);
    }
    return one.machine.ejected();
  };
  CHECK(ejected(5, 10) == 1);
  CHECK(ejected(10, 10) == 1);
  CHECK(ejected(19, 10) == 1);
  CHECK(ejected(20, 10) == 2);
  CHECK(ejected(5, 50) == 2);
  CHECK(ejected(5, 100) == 5);
  CHECK(ejected(5, 1) == 1);
  CHECK(ejected(5, 0) == 0);
}

TEST_CASE("outlier_detector: enforcement is the share of the found that are ejected", "[health][outlier]") {
  auto const share = [](std::uint32_t percent) {
    int ejected = 0;
    fixture one{percentages_only({.enforcement = percent, .minimum_hosts = 1}), 1};
    for (int i = 0; i < 2000; ++i) {
      one.machine.add(0);
      one.calls(0, 0, 50);
      auto const changes = one.sweep();
      REQUIRE(changes.size() == 1);
      if (changes[0].decision == outlier_decision::ejected) ++ejected;
      if (percent < 100 && changes[0].decision != outlier_decision::ejected) {
        CHECK(changes[0].decision == outlier_decision::spared_by_enforcement);
      }
    }
    return ejected;
  };
  CHECK(share(0) == 0);
  CHECK(share(100) == 2000);
  CHECK(share(30) > 500);
  CHECK(share(30) < 700);
}

TEST_CASE("outlier_detector: an endpoint that is removed takes its ejection with it, and its number begins anew",
          "[health][outlier]") {
  fixture one{percentages_only()};
  one.all_but(1, 5, 100);
  one.calls(1, 0, 100);
  one.sweep();
  REQUIRE(one.machine.is_ejected(1));
  one.machine.remove(1);
  CHECK(one.machine.ejected() == 0);
  one.machine.record(1, false);  // what was in flight
  one.machine.add(1);
  CHECK_FALSE(one.machine.is_ejected(1));
  one.all_but(1, 5, 100);
  one.calls(1, 0, 100);
  CHECK(one.sweep_at(20s).at(0).until == start + 50s);  // the first ejection once more
}

TEST_CASE("outlier_detector: what an ejected endpoint had in flight does not eject it again", "[health][outlier]") {
  fixture one{percentages_only()};
  for (duration const at : {10s, 20s, 30s}) {
    one.all_but(1, 5, 100);
    one.calls(1, 0, 100);
    CHECK(one.sweep_at(at).size() == (at == 10s ? 1 : 0));
  }
  CHECK(one.sweep_at(40s).at(0).decision == outlier_decision::readmitted);
}

TEST_CASE("outlier_detector: sweeps are an interval apart, and never come with both methods off", "[health][outlier]") {
  fixture one{{}};
  CHECK(one.machine.next_sweep() == start + 10s);
  one.sweep_at(13s);
  CHECK(one.machine.next_sweep() == start + 23s);

  fixture off{{.success_rate = {}, .failure_percentage = {}}};
  CHECK(off.machine.next_sweep() == never);
  off.calls(0, 0, 1000);
  CHECK(off.sweep().empty());
  CHECK(off.machine.next_sweep() == never);
}

TEST_CASE("outlier_detector: at rest when nothing came and nobody is or was lately ejected", "[health][outlier]") {
  fixture one{percentages_only({.minimum_hosts = 1})};
  CHECK(one.machine.at_rest());
  one.calls(0, 1, 0);
  one.sweep_at(10s);
  CHECK_FALSE(one.machine.at_rest());
  one.sweep_at(20s);
  CHECK(one.machine.at_rest());
  one.calls(0, 0, 50);
  for (duration at = 30s; at <= 60s; at += 10s) {
    one.sweep_at(at);
    CHECK_FALSE(one.machine.at_rest());  // ejected, at 60 s readmitted
  }
  one.sweep_at(70s);
  CHECK(one.machine.at_rest());
}

TEST_CASE("outlier_detector: sweeping and recording allocate nothing", "[health][outlier]") {
  fixture one{{}, 50};
  one.params.max_ejection_percent = 20;
  std::size_t const before = allocation_count();
  for (int round = 0; round < 20; ++round) {
    for (std::uint32_t host = 0; host < 50; ++host) one.calls(host, 10, host % 3 == 0 ? 100 : 90);
    one.machine.sweep(one.now, one.random);
    one.now += 10s;
  }
  std::size_t const after = allocation_count();
  CHECK(after - before == 0);
}

// ---- random runs

namespace {

struct random_run {
  explicit random_run(std::uint64_t seed) : draw(seed) {
    params.max_ejection_percent = draw.below(101);
    if (draw.below(4) == 0) params.success_rate.reset();
    if (params.success_rate) params.success_rate->request_volume = 10;
    if (params.failure_percentage) {
      params.failure_percentage->request_volume = 10;
      params.failure_percentage->threshold = draw.below(100);
    }
  }

  void change_hosts() {
    std::uint32_t const number = draw.below(40);
    if (draw.below(3) != 0) {
      machine.add(number);
      until[number] = never;
    } else if (until.contains(number)) {
      machine.remove(number);
      until.erase(number);
    }
  }

  void make_calls() {
    for (auto const& [number, ejected] : until) {
      double const rate = draw.uniform() < 0.3 ? draw.uniform() : 1;
      for (std::uint32_t calls = draw.below(30); calls > 0; --calls) machine.record(number, draw.uniform() < rate);
    }
  }

  std::uint32_t limit() const {
    auto const share = static_cast<std::uint32_t>(until.size()) * params.max_ejection_percent / 100;
    return params.max_ejection_percent == 0 ? 0 : std::max(1u, share);
  }

  void sweep() {
    std::uint32_t out = machine.ejected();
    for (outlier_change const& one : machine.sweep(now, draw)) {
      REQUIRE(until.contains(one.endpoint));
      time_point& mine = until[one.endpoint];
      switch (one.decision) {
        case outlier_decision::ejected:
          REQUIRE(mine == never);
          REQUIRE(++out <= limit());
          REQUIRE(one.until - now <= params.max_ejection_time);
          REQUIRE((one.until - now) % params.base_ejection_time == 0s);
          mine = one.until;
          break;
        case outlier_decision::readmitted:
          REQUIRE(mine <= now);
          mine = never;
          --out;
          break;
        case outlier_decision::spared_by_limit: REQUIRE(out + 1 > limit()); break;
        case outlier_decision::spared_by_enforcement: FAIL("enforcement is 100"); break;
      }
    }
    REQUIRE(machine.ejected() == out);
    for (auto const& [number, ejected] : until) {
      REQUIRE(machine.is_ejected(number) == (ejected != never));
      REQUIRE((ejected == never || ejected > now));
    }
  }

  void run() {
    for (int sweeps = 0; sweeps < 200; ++sweeps) {
      for (std::uint32_t changes = draw.below(4); changes > 0; --changes) change_hosts();
      make_calls();
      now += params.interval;
      sweep();
    }
  }

  rng draw;
  outlier_params params{};
  time_point now = start;
  outlier_detector machine{params, start};
  std::map<std::uint32_t, time_point> until;  // present, and ejected so long
};

}  // namespace

TEST_CASE("outlier_detector: in random runs no more are ejected than allowed, none twice, and all return",
          "[health][outlier]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    random_run(seed).run();
  }
}

TEST_CASE("outlier_detector: what is not allowed is refused by name", "[health][outlier]") {
  auto const refused = [](auto change) {
    outlier_params params;
    change(params);
    try {
      validate(params, "health.outlier");
    } catch (std::invalid_argument const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused([](auto&) {}) == "");
  CHECK(refused([](auto& p) { p.interval = 0s; }) == "health.outlier.interval is 0ms; allowed: more than 0ms");
  CHECK(refused([](auto& p) { p.base_ejection_time = -1s; }) ==
        "health.outlier.base_ejection_time is -1000ms; allowed: more than 0ms");
  CHECK(refused([](auto& p) { p.max_ejection_time = 0s; }) ==
        "health.outlier.max_ejection_time is 0ms; allowed: more than 0ms");
  CHECK(refused([](auto& p) { p.max_ejection_percent = 101; }) ==
        "health.outlier.max_ejection_percent is 101; allowed: 0 to 100");
  CHECK(refused([](auto& p) { p.success_rate->enforcement = 200; }) ==
        "health.outlier.success_rate.enforcement is 200; allowed: 0 to 100");
  CHECK(refused([](auto& p) { p.success_rate->request_volume = 0; }) ==
        "health.outlier.success_rate.request_volume is 0; allowed: 1 or more");
  CHECK(refused([](auto& p) { p.failure_percentage->threshold = 101; }) ==
        "health.outlier.failure_percentage.threshold is 101; allowed: 0 to 100");
}
