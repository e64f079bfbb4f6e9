// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/time/timer_queue.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <deque>
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

TEST_CASE("timer_queue: equal times leave in the order they were armed", "[time]") {
  std::vector<int> log;
  timer_queue queue;
  std::deque<bell> bells;
  for (int i = 0; i < 20; ++i) queue.arm(bells.emplace_back(log, i).t, at(1));
  queue.run_due(at(1), 100);
  CHECK(std::is_sorted(log.begin(), log.end()));
  CHECK(log.size() == 20);
}
