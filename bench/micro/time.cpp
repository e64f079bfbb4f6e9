// SPDX-License-Identifier: Apache-2.0
// Timers, by how many are armed.
#include "record.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/time/timer_queue.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

constexpr duration timeout = 10s;

// the deadlines of so many calls under way, begun one each microsecond, 64 in a turn of the loop; every fourth has a timeout of
// its own
class calls {
 public:
  explicit calls(std::int64_t count) {
    queue_.run_due(now_, 0);
    for (std::int64_t i = 0; i < count; ++i) begin(deadlines_.emplace_back(*this).due);
  }

  void begin(timer& one) {
    if (++begun_ % 64 == 0) queue_.run_due(now_, 256);
    arm(one);
  }
  void arm(timer& one) {
    now_ += 1us;
    auto const sooner = random_.below(4) == 0 ? std::chrono::microseconds(random_.below(5'000'000)) : 0us;
    queue_.arm(one, now_ + timeout - sooner);
  }
  void end(timer& one) { queue_.disarm(one); }
  void run_first() {
    now_ = std::max(now_, queue_.next_due());
    queue_.run_due(now_, 1);
  }

  timer& any() { return deadlines_[random_.below(static_cast<std::uint32_t>(deadlines_.size()))].due; }
  timer& oldest() {
    timer& one = deadlines_[next_].due;
    if (++next_ == deadlines_.size()) next_ = 0;
    return one;
  }

 private:
  struct deadline {
    explicit deadline(calls& all) noexcept : owner(all) {}
    void on_due() { owner.arm(due); }

    calls& owner;
    timer due{bound<void()>::to<&deadline::on_due>(*this)};
  };

  timer_queue queue_;
  std::deque<deadline> deadlines_;
  rng random_{1};
  time_point now_{1h};
  std::uint64_t begun_ = 0;
  std::size_t next_ = 0;
};

// a call begins and ends while all the others are under way
void timer_arm_and_disarm(benchmark::State& state) {
  calls all(state.range(0));
  timer& one = all.oldest();
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    all.end(one);
    all.begin(one);
  }
}

// steady state: calls end in the order they began, and others begin in their places
void timer_replace_oldest(benchmark::State& state) {
  calls all(state.range(0));
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    timer& one = all.oldest();
    all.end(one);
    all.begin(one);
  }
}

// the same in any order; at a million, memory is far away
void timer_replace_any(benchmark::State& state) {
  calls all(state.range(0));
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    timer& one = all.any();
    all.end(one);
    all.begin(one);
  }
}

// nobody disarms: each falls due, and is armed again
void timer_fall_due(benchmark::State& state) {
  calls all(state.range(0));
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) all.run_first();
}

BENCHMARK(timer_arm_and_disarm)->RangeMultiplier(10)->Range(100, 1'000'000);
BENCHMARK(timer_replace_oldest)->RangeMultiplier(10)->Range(100, 1'000'000);
BENCHMARK(timer_replace_any)->RangeMultiplier(10)->Range(100, 1'000'000);
BENCHMARK(timer_fall_due)->RangeMultiplier(10)->Range(100, 1'000'000);

}  // namespace
