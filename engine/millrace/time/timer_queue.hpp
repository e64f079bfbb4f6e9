// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/timer.hpp>

#include <cstddef>

namespace millrace {

/// The armed timers of one loop, earliest first. Arming is O(1), disarming O(log n) amortised; neither allocates.
class timer_queue {
 public:
  timer_queue() noexcept = default;
  timer_queue(timer_queue const&) = delete;
  timer_queue& operator=(timer_queue const&) = delete;
  ~timer_queue();

  /// Arms `timer` for `at`; one that is armed already is moved. `never` disarms.
  void arm(timer& timer, time_point at) noexcept;

  void disarm(timer& timer) noexcept;

  /// When the earliest timer falls due; `never` when none is armed.
  time_point next_due() const noexcept { return heap_.empty() ? never : heap_.top()->due_; }

  /// Runs at most `limit` timers due at or before `now`, earliest first, and returns how many it ran. A callback may arm,
  /// disarm or destroy any timer, its own included; a timer armed meanwhile for a time already past runs in a later call.
  std::size_t run_due(time_point now, std::size_t limit);

  std::size_t size() const noexcept { return size_; }

 private:
  intrusive_heap<timer, timer::before> heap_;
  std::uint64_t next_order_ = 0;
  std::size_t size_ = 0;
  time_point running_at_ = time_point::min();  // the `now` of the run_due under way
};

}  // namespace millrace
