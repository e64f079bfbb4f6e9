// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/time/timer_queue.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

using namespace millrace;

namespace {

struct bell {
  explicit bell(std::vector<int>& log, int name) : log_(&log), name_(name) {}
  void ring() { log_->push_back(name_); }
  std::vector<int>* log_;
  int name_;
  timer t{bound<void()>::to<&bell::ring>(*this)};
};

constexpr time_point at(int tick) { return time_point{} + std::chrono::milliseconds(tick); }

}  // namespace

TEST_CASE("timer_queue: timers leave in the order of their times", "[time]") {
  std::vector<int> log;
  timer_queue queue;
  std::deque<bell> bells;
  rng random{7};
  std::vector<int> expected;
  for (int i = 0; i < 1000; ++i) {
    int const tick = static_cast<int>(random.below(500));
    bells.emplace_back(log, tick);
    queue.arm(bells.back().t, at(tick));
  }
  for (int i = 0; i < 1000; ++i) {
    if (random.below(3) == 0) queue.disarm(bells[static_cast<std::size_t>(i)].t);
    if (random.below(5) == 0) {
      auto& a = bells[static_cast<std::size_t>(i)];
      a.name_ = static_cast<int>(random.below(500));
      queue.arm(a.t, at(a.name_));
    }
  }
  for (auto const& a : bells) {
    if (a.t.armed()) expected.push_back(a.name_);
  }
  std::sort(expected.begin(), expected.end());
  CHECK(queue.size() == expected.size());
  queue.run_due(at(1000), 100000);
  CHECK(log == expected);
  CHECK(queue.next_due() == never);
}

TEST_CASE("timer_queue: whatever is armed for when, the earliest leaves next", "[time]") {
  struct numbered {
    explicit numbered(std::vector<timer const*>& left) noexcept : gone(left) {}
    void on_due() { gone.push_back(&due); }
    std::vector<timer const*>& gone;
    timer due{bound<void()>::to<&numbered::on_due>(*this)};
  };
  using namespace std::chrono_literals;
  std::uint64_t const seed = GENERATE(1u, 2u, 3u, 4u);
  INFO("seed " << seed);
  rng random{seed};
  std::vector<timer const*> gone;
  std::deque<numbered> timers;
  for (int i = 0; i < 100; ++i) timers.emplace_back(gone);
  timer_queue queue;
  std::map<std::pair<time_point, int>, timer*> armed;  // by time, then by turn
  time_point now{1h};
  for (int turn = 0; turn < 20'000; ++turn) {
    timer& one = timers[random.below(100)].due;
    std::erase_if(armed, [&](auto const& each) { return each.second == &one; });
    // most within the calendar, some past it, some long due; time stands still, creeps and leaps
    duration const ahead = std::chrono::milliseconds(random.below(random.below(4) == 0 ? 40'000 : 300)) - 5ms;
    if (random.below(3) == 0) {
      queue.disarm(one);
    } else {
      queue.arm(one, now + ahead);
      armed.emplace(std::pair(now + ahead, turn), &one);
    }
    REQUIRE(queue.size() == armed.size());
    REQUIRE(queue.next_due() == (armed.empty() ? never : armed.begin()->first.first));
    if (random.below(4) != 0) continue;
    now += random.below(50) == 0 ? duration(20s) : std::chrono::milliseconds(random.below(200));
    std::vector<timer const*> expected;
    while (expected.size() < 10 && !armed.empty() && armed.begin()->first.first <= now) {
      expected.push_back(armed.begin()->second);
      armed.erase(armed.begin());
    }
    gone.clear();
    queue.run_due(now, 10);
    REQUIRE(gone == expected);
  }
}

TEST_CASE("timer_queue: equal times leave in the order they were armed", "[time]") {
  std::vector<int> log;
  timer_queue queue;
  std::deque<bell> bells;
  for (int i = 0; i < 20; ++i) queue.arm(bells.emplace_back(log, i).t, at(1));
  queue.run_due(at(1), 100);
  CHECK(std::is_sorted(log.begin(), log.end()));
  CHECK(log.size() == 20);
}
