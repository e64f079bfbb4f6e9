// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/failover.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using balance::failover;
using balance::failover_choice;
using balance::failover_level;
using balance::failover_params;

namespace {

constexpr time_point start{1000s};
constexpr duration recovery = 10s;
constexpr duration delay = 20s;

// priorities from 0 on: `u` is usable, `c` connects
std::vector<failover_level> levels(std::string_view text) {
  std::vector<failover_level> made;
  for (char const one : text) {
    made.push_back({.priority = static_cast<std::uint32_t>(made.size()), .usable = one == 'u', .connects = one == 'c'});
  }
  return made;
}

failover_choice step(failover& machine, duration at, std::string_view text) {
  return machine.step(start + at, levels(text));
}

struct row {
  std::uint32_t used;
  std::string_view then;
  std::uint32_t at_once, after_recovery, after_delay;
  time_point look_again = never;
};

constexpr time_point change = start + 100s;

constexpr row table[] = {
    // the highest is in use
    {0, "---", 0, 0, 0},
    {0, "u--", 0, 0, 0},
    {0, "-u-", 0, 1, 1, change + recovery},
    {0, "uu-", 0, 0, 0},
    {0, "--u", 0, 2, 2, change + recovery},
    {0, "u-u", 0, 0, 0},
    {0, "-uu", 0, 1, 1, change + recovery},
    {0, "uuu", 0, 0, 0},
    // the middle one
    {1, "---", 1, 0, 0, change + recovery},
    {1, "u--", 0, 0, 0},
    {1, "-u-", 1, 1, 1},
    {1, "uu-", 1, 1, 0, change + delay},
    {1, "--u", 1, 2, 2, change + recovery},
    {1, "u-u", 0, 0, 0},
    {1, "-uu", 1, 1, 1},
    {1, "uuu", 1, 1, 0, change + delay},
    // the lowest
    {2, "---", 2, 0, 0, change + recovery},
    {2, "u--", 0, 0, 0},
    {2, "-u-", 1, 1, 1},
    {2, "uu-", 0, 0, 0},
    {2, "--u", 2, 2, 2},
    {2, "u-u", 2, 2, 0, change + delay},
    {2, "-uu", 2, 2, 1, change + delay},
    {2, "uuu", 2, 2, 0, change + delay},
};

}  // namespace

TEST_CASE("failover: the first decision is the highest usable level, or the highest", "[balance][failover]") {
  std::pair<std::string_view, std::uint32_t> const cases[] = {{"---", 0}, {"u--", 0}, {"-u-", 1}, {"uu-", 0},
                                                              {"--u", 2}, {"u-u", 0}, {"-uu", 1}, {"uuu", 0}};
  for (auto const& [text, expected] : cases) {
    failover machine{{.recovery_timeout = recovery, .switching_delay = delay}};
    CHECK(step(machine, 0s, text) == failover_choice{.priority = expected});
  }
}

TEST_CASE("failover: every level in use and every change of the levels", "[balance][failover]") {
  for (row const& one : table) {
    CAPTURE(one.used, one.then);
    failover machine{{.recovery_timeout = recovery, .switching_delay = delay}};
    std::vector<failover_level> alone = levels("---");
    alone[one.used].usable = true;
    CHECK(machine.step(start, alone).priority == one.used);
    auto const now = levels(one.then);
    CHECK(machine.step(change, now) == failover_choice{one.at_once, one.look_again});
    CHECK(machine.step(change + recovery - 1ns, now) == failover_choice{one.at_once, one.look_again});
    CHECK(machine.step(change + recovery, now).priority == one.after_recovery);
    CHECK(machine.step(change + delay - 1ns, now).priority == one.after_recovery);
    CHECK(machine.step(change + delay, now) == failover_choice{one.after_delay, never});
  }
}

TEST_CASE("failover: without times it is the highest usable level at any moment", "[balance][failover]") {
  std::uint64_t const seed = 4;
  CAPTURE(seed);
  rng random{seed};
  failover machine;
  for (int i = 0; i < 2000; ++i) {
    auto now = levels("----");
    for (failover_level& one : now) one.usable = random.below(3) == 0;
    auto const best = std::ranges::find(now, true, &failover_level::usable);
    CHECK(machine.step(start, now) == failover_choice{.priority = best != now.end() ? best->priority : 0});
  }
}

TEST_CASE("failover: nothing is decided anew before look_again, and something at it", "[balance][failover]") {
  std::uint64_t const seed = 6;
  CAPTURE(seed);
  rng random{seed};
  failover machine{{.recovery_timeout = recovery, .switching_delay = delay}};
  time_point now = start;
  auto state = levels("u---");
  failover_choice before = machine.step(now, state);
  int looked = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (random.below(2) == 0) {
      failover_level& one = state[random.below(4)];
      one.usable = !one.usable;
      one.connects = !one.usable && random.below(2) == 0;
      now += std::chrono::seconds(random.below(15));
      before = machine.step(now, state);
    } else if (before.look_again > now + 1s) {
      now += std::chrono::milliseconds(random.below(1000));
      CHECK(machine.step(now, state) == before);
    } else {
      now = before.look_again;
      failover_choice const after = machine.step(now, state);
      CHECK(after.priority != before.priority);
      before = after;
      ++looked;
    }
    CHECK(before.look_again > now);
  }
  CHECK(looked > 50);
}

TEST_CASE("failover: at the start the highest level has its time to become usable", "[balance][failover]") {
  failover machine{{.recovery_timeout = recovery}};
  CHECK(step(machine, 0s, "--") == failover_choice{0, never});
  CHECK(step(machine, 2s, "-u") == failover_choice{0, start + recovery});
  CHECK(step(machine, 3s, "uu") == failover_choice{0, never});
  failover other{{.recovery_timeout = recovery}};
  CHECK(step(other, 0s, "--").priority == 0);
  CHECK(step(other, 2s, "-u").priority == 0);
  CHECK(step(other, 10s, "-u") == failover_choice{1, never});
}

TEST_CASE("failover: who is usable first does not win against a higher level that connects", "[balance][failover]") {
  failover machine;
  CHECK(step(machine, 0s, "c-") == failover_choice{0, never});
  CHECK(step(machine, 1s, "cu") == failover_choice{0, start + 10s});
  CHECK(step(machine, 9s, "uu") == failover_choice{0, never});
  // it has had its time: what it connects again for is its recovery's business
  CHECK(step(machine, 60s, "cu") == failover_choice{1, never});
}

TEST_CASE("failover: a level that connects is waited for so long, and not once it has failed", "[balance][failover]") {
  failover slow;
  CHECK(step(slow, 0s, "cu").priority == 0);
  CHECK(step(slow, 10s - 1ns, "cu") == failover_choice{0, start + 10s});
  CHECK(step(slow, 10s, "cu") == failover_choice{1, never});
  CHECK(step(slow, 11s, "uu") == failover_choice{0, never});
  failover refused;
  CHECK(step(refused, 0s, "cu") == failover_choice{0, start + 10s});
  CHECK(step(refused, 1s, "-u") == failover_choice{1, never});
  // nor does it get the time anew when it is dialed again
  CHECK(step(refused, 2s, "c-") == failover_choice{0, never});
  CHECK(step(refused, 3s, "cu") == failover_choice{1, never});
  failover both({.recovery_timeout = 20s});
  CHECK(step(both, 0s, "cu") == failover_choice{0, start + 20s});
}

TEST_CASE("failover: of several levels that connect each is waited for in its turn", "[balance][failover]") {
  failover machine({.initial_timeout = 3s});
  CHECK(step(machine, 0s, "c-u") == failover_choice{0, start + 3s});
  CHECK(step(machine, 2s, "ccu") == failover_choice{0, start + 3s});
  CHECK(step(machine, 3s, "ccu") == failover_choice{1, start + 5s});
  CHECK(step(machine, 5s, "ccu") == failover_choice{2, never});
  failover none({.initial_timeout = 0s});
  CHECK(step(none, 0s, "ccu") == failover_choice{2, never});
}

TEST_CASE("failover: a higher level that falters on its way back starts its delay again", "[balance][failover]") {
  failover machine{{.switching_delay = delay}};
  CHECK(step(machine, 0s, "-u").priority == 1);
  CHECK(step(machine, 5s, "uu") == failover_choice{1, start + 25s});
  CHECK(step(machine, 24s, "-u") == failover_choice{1, never});
  CHECK(step(machine, 25s, "uu") == failover_choice{1, start + 45s});
  CHECK(step(machine, 45s, "uu") == failover_choice{0, never});
}

TEST_CASE("failover: a level that falters all the time does not keep calls from a steady one below it",
          "[balance][failover]") {
  failover machine{{.switching_delay = delay}};
  CHECK(step(machine, 0s, "--u").priority == 2);
  for (int second = 1; second < 21; ++second) {
    CHECK(step(machine, second * 1s, second % 2 == 0 ? "uuu" : "-uu").priority == 2);
  }
  CHECK(step(machine, 21s, "-uu").priority == 1);
}

TEST_CASE("failover: a level that comes back within its recovery has lost nothing", "[balance][failover]") {
  failover machine{{.recovery_timeout = recovery}};
  CHECK(step(machine, 0s, "uu").priority == 0);
  CHECK(step(machine, 50s, "-u") == failover_choice{0, start + 60s});
  CHECK(step(machine, 59s, "uu") == failover_choice{0, never});
  CHECK(step(machine, 70s, "-u") == failover_choice{0, start + 80s});
}

TEST_CASE("failover: levels come and go", "[balance][failover]") {
  failover machine{{.recovery_timeout = recovery, .switching_delay = delay}};
  std::vector<failover_level> const two{{.priority = 3, .usable = true}, {.priority = 7, .usable = true}};
  CHECK(machine.step(start, two).priority == 3);
  // the level in use is gone: no recovery for it
  CHECK(machine.step(start + 1s, std::vector<failover_level>{{.priority = 7, .usable = true}}).priority == 7);
  // a higher one is new: it has to prove itself
  std::vector<failover_level> const with_new{{.priority = 5, .usable = true}, {.priority = 7, .usable = true}};
  CHECK(machine.step(start + 2s, with_new) == failover_choice{7, start + 22s});
  CHECK(machine.step(start + 22s, with_new) == failover_choice{5, never});
  // without levels it forgets: what comes next is a first decision
  CHECK(machine.step(start + 23s, {}) == failover_choice{});
  std::vector<failover_level> const others{{.priority = 3, .usable = true}, {.priority = 5, .usable = true}};
  CHECK(machine.step(start + 24s, others) == failover_choice{3, never});
}

TEST_CASE("failover: times that never come are never", "[balance][failover]") {
  failover machine{{.recovery_timeout = duration::max(), .switching_delay = duration::max()}};
  CHECK(step(machine, 0s, "u-").priority == 0);
  CHECK(step(machine, 1s, "-u") == failover_choice{0, never});
  CHECK(step(machine, 1'000'000s, "-u") == failover_choice{0, never});
}

TEST_CASE("story: a region is lost, calls go to the next one and come back", "[balance][failover]") {
  failover machine{{.recovery_timeout = 2s, .switching_delay = 60s}};
  CHECK(step(machine, 0s, "uu").priority == 0);
  // a server restarts: it is back in time
  CHECK(step(machine, 100s, "-u") == failover_choice{0, start + 102s});
  CHECK(step(machine, 101s, "uu") == failover_choice{0, never});
  // the region is lost
  CHECK(step(machine, 200s, "-u") == failover_choice{0, start + 202s});
  CHECK(step(machine, 202s, "-u") == failover_choice{1, never});
  // it flickers, comes back, and is trusted after a minute
  CHECK(step(machine, 300s, "uu") == failover_choice{1, start + 360s});
  CHECK(step(machine, 330s, "-u") == failover_choice{1, never});
  CHECK(step(machine, 400s, "uu") == failover_choice{1, start + 460s});
  // the other region is lost before that: there is no reason to wait
  CHECK(step(machine, 410s, "u-") == failover_choice{0, never});
  // both are lost: calls wait for the one that they were on, which was the best all along
  CHECK(step(machine, 500s, "--") == failover_choice{0, never});
  CHECK(step(machine, 600s, "-u") == failover_choice{1, never});
}

TEST_CASE("failover: times that are not allowed are refused by name", "[balance][failover]") {
  CHECK_NOTHROW(validate(failover_params{}, "pool_params.failover"));
  CHECK_THROWS_WITH(validate(failover_params{.initial_timeout = -1ns}, "pool_params.failover"),
                    "pool_params.failover.initial_timeout is -1 ns; allowed: 0 or more");
  CHECK_THROWS_WITH(validate(failover_params{.recovery_timeout = -1s}, "pool_params.failover"),
                    "pool_params.failover.recovery_timeout is -1000000000 ns; allowed: 0 or more");
  CHECK_THROWS_WITH(validate(failover_params{.switching_delay = -1ns}, "pool_params.failover"),
                    "pool_params.failover.switching_delay is -1 ns; allowed: 0 or more");
}
