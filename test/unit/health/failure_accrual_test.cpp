// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/failure_accrual.hpp>

#include <millrace/base/rng.hpp>

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

using namespace millrace;
using namespace millrace::health;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 1000s;
constexpr accrual_params only_rows{.success_rate = 0};
constexpr accrual_params only_rate{.consecutive_failures = 0};

struct fixture {
  explicit fixture(accrual_params with = {}) : params(with) {}

  bool succeed() { return machine.record(now, true, random); }
  bool fail() { return machine.record(now, false, random); }
  bool elapse() { return machine.on_elapsed(now); }

  void fail_until_dead() {
    for (int failures = 0; machine.state() != accrual_state::dead; ++failures) {
      REQUIRE(failures < 1000);
      fail();
    }
  }
  void lead_to(accrual_state state) {
    if (state != accrual_state::alive) fail_until_dead();
    if (state == accrual_state::probing) {
      now = machine.until();
      elapse();
    }
  }
  // from alive: how long it is ejected, after which it is probed and comes back
  duration eject_and_revive() {
    fail_until_dead();
    duration const time = machine.until() - now;
    now = machine.until();
    REQUIRE(elapse());
    REQUIRE(succeed());
    return time;
  }

  accrual_params params;
  rng random{7};
  time_point now = start;
  failure_accrual machine{params};
};

enum class input { success, failure, last_failure, early, due };

struct row {
  accrual_state from;
  input on;
  accrual_state to;
};

using enum accrual_state;

constexpr std::array table{
    row{alive, input::success, alive},   row{alive, input::failure, alive},  row{alive, input::last_failure, dead},
    row{alive, input::early, alive},     row{alive, input::due, alive},

    row{dead, input::success, dead},     row{dead, input::failure, dead},    row{dead, input::last_failure, dead},
    row{dead, input::early, dead},       row{dead, input::due, probing},

    row{probing, input::success, alive}, row{probing, input::failure, dead}, row{probing, input::last_failure, dead},
    row{probing, input::early, probing}, row{probing, input::due, probing},
};

bool apply(fixture& to, input what) {
  switch (what) {
    case input::success: return to.succeed();
    case input::failure: return to.fail();
    case input::last_failure:
      // only where it is alive do the four before it matter
      for (int i = 0; i < 4 && to.machine.state() == alive; ++i) CHECK_FALSE(to.fail());
      return to.fail();
    case input::early: to.now += 4999ms; return to.elapse();
    case input::due: to.now += 5s; return to.elapse();
  }
  return false;
}

}  // namespace

TEST_CASE("failure_accrual: every state answers every input as the table says", "[health][accrual]") {
  CHECK(table.size() == 3 * 5);
  for (row const& cell : table) {
    INFO(to_string(cell.from) << ", input " << static_cast<int>(cell.on));
    fixture one;
    one.lead_to(cell.from);
    REQUIRE(one.machine.state() == cell.from);
    CHECK(apply(one, cell.on) == (cell.to != cell.from));
    CHECK(to_string(one.machine.state()) == to_string(cell.to));
    CHECK((one.machine.until() == never) == (cell.to != dead));
  }
}

TEST_CASE("failure_accrual: five failures in a row eject, four do not, and a success starts the row anew",
          "[health][accrual]") {
  fixture one{only_rows};
  for (int row = 0; row < 10; ++row) {
    for (int i = 0; i < 4; ++i) CHECK_FALSE(one.fail());
    CHECK_FALSE(one.succeed());
  }
  for (int i = 0; i < 4; ++i) CHECK_FALSE(one.fail());
  CHECK(one.fail());
  CHECK(one.machine.until() == start + 5s);
  CHECK(one.machine.why() == "too many failures in a row");
}

TEST_CASE("failure_accrual: with both rules off nothing ejects", "[health][accrual]") {
  fixture one{{.consecutive_failures = 0, .success_rate = 0}};
  for (int i = 0; i < 100'000; ++i) REQUIRE_FALSE(one.fail());
}

TEST_CASE("failure_accrual: below a rate of 0.8 it ejects, at 0.8 it does not", "[health][accrual]") {
  fixture one{only_rate};
  for (int i = 0; i < 80; ++i) CHECK_FALSE(one.succeed());
  for (int i = 0; i < 20; ++i) CHECK_FALSE(one.fail());  // 80 of 100
  CHECK(one.fail());
  CHECK(one.machine.why() == "too few calls succeed");
}

TEST_CASE("failure_accrual: the rate does not count below the volume", "[health][accrual]") {
  fixture one{only_rate};
  for (int i = 0; i < 4; ++i) CHECK_FALSE(one.fail());
  CHECK(one.fail());
}

TEST_CASE("failure_accrual: old calls weigh less, a factor e in a window", "[health][accrual]") {
  fixture one{only_rate};
  for (int i = 0; i < 1000; ++i) one.succeed();
  one.now += 30s;  // they weigh 368 now; ticks make it 1 / 16 of a window more or less
  int failures = 1;
  while (!one.fail()) ++failures;
  CHECK(failures > 1000 * 0.25 * std::exp(-17.0 / 16));
  CHECK(failures < 1000 * 0.25 * std::exp(-15.0 / 16) + 2);
}

TEST_CASE("failure_accrual: an hour of silence makes what was before weigh nothing", "[health][accrual]") {
  fixture one{only_rate};
  for (int i = 0; i < 1000; ++i) one.succeed();
  one.now += 1h;
  for (int i = 0; i < 4; ++i) CHECK_FALSE(one.fail());
  CHECK(one.fail());
}

TEST_CASE("failure_accrual: ejections in succession take 5 s, then 5 to 10, 10 to 20 and so on to 300",
          "[health][accrual]") {
  duration least_second = 1h, most_second = 0s;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    fixture one;
    one.random = rng(seed);
    CHECK(one.eject_and_revive() == 5s);
    duration half = 5s;
    for (int ejection = 2; ejection < 12; ++ejection) {
      duration const time = one.eject_and_revive();
      CHECK(time >= std::min<duration>(half, 300s));
      CHECK(time <= std::min<duration>(half * 2, 300s));
      if (ejection == 2) {
        least_second = std::min(least_second, time);
        most_second = std::max(most_second, time);
      }
      half *= 2;
    }
    CHECK(one.eject_and_revive() == 300s);
  }
  CHECK(least_second < 5100ms);
  CHECK(most_second > 9900ms);
}

TEST_CASE("failure_accrual: a trial that fails makes the next ejection longer", "[health][accrual]") {
  fixture one;
  one.lead_to(probing);
  CHECK(one.fail());
  CHECK(one.machine.why() == "the trial call failed");
  CHECK(one.machine.until() - one.now >= 5s);
  CHECK(one.machine.until() - one.now < 10s);
}

TEST_CASE("failure_accrual: each window alive makes the next ejection a step shorter", "[health][accrual]") {
  for (int windows = 0; windows < 6; ++windows) {
    CAPTURE(windows);
    fixture one;
    for (int i = 0; i < 4; ++i) one.eject_and_revive();  // the next would take 40 to 80 s
    one.now += windows * 30s + 29s;
    duration const time = one.eject_and_revive();
    duration const half = windows < 4 ? 5s * (1 << (3 - windows)) : 2500ms;
    CHECK(time >= half);
    CHECK(time <= half * 2);
  }
}

TEST_CASE("failure_accrual: a revived endpoint is judged by what follows only", "[health][accrual]") {
  fixture one;
  one.eject_and_revive();
  for (int i = 0; i < 4; ++i) CHECK_FALSE(one.fail());
  CHECK(one.fail());
}

TEST_CASE("failure_accrual: a million ejections overflow nothing", "[health][accrual]") {
  fixture one;
  one.lead_to(probing);
  for (int i = 0; i < 1'000'000; ++i) {
    one.fail();
    REQUIRE(one.machine.until() - one.now <= 300s);
    one.now = one.machine.until();
    one.elapse();
  }
}

TEST_CASE("failure_accrual: a server that dies and returns gets its calls back by one trial", "[health][accrual]") {
  fixture one;
  time_point const back = start + 60s;
  int calls_while_down = 0;
  for (; one.now < start + 300s; one.now += 100ms) {
    if (one.now >= one.machine.until()) one.elapse();
    bool const let_through = one.machine.state() != dead;
    if (!let_through) continue;
    if (one.now < back) ++calls_while_down;
    one.machine.record(one.now, one.now >= back, one.random);
  }
  CHECK(one.machine.state() == alive);
  CHECK(calls_while_down >= 5 + 3);
  CHECK(calls_while_down <= 5 + 6);
}

TEST_CASE("failure_accrual: recording allocates nothing", "[health][accrual]") {
  fixture one;
  std::size_t const before = allocation_count();
  for (int i = 0; i < 1000; ++i) {
    one.machine.record(one.now, i % 10 < 4, one.random);
    one.machine.on_elapsed(one.now);
    one.now += 1s;
  }
  std::size_t const after = allocation_count();
  CHECK(after - before == 0);
}

TEST_CASE("failure_accrual: what is not allowed is refused by name", "[health][accrual]") {
  auto const refused = [](accrual_params const& params) {
    try {
      validate(params, "health.accrual");
    } catch (std::invalid_argument const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({}) == "");
  CHECK(refused({.success_rate = 1.5}) == "health.accrual.success_rate is 1.5; allowed: 0 to 1; 0 is off");
  CHECK(refused({.window = 0s}) == "health.accrual.window is 0ms; allowed: 1ms or more");
  CHECK(refused({.min_volume = 0}) == "health.accrual.min_volume is 0; allowed: 1 or more");
  CHECK(refused({.base_ejection = 0s}) == "health.accrual.base_ejection is 0ms; allowed: more than 0ms");
  CHECK(refused({.max_ejection = 1s}) ==
        "health.accrual.max_ejection is 1000ms; allowed: at least base_ejection, 5000ms");
}
