// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/timer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace {

/// The armed timers of one loop, earliest first. Arming is O(1), disarming O(log n) amortised; neither allocates.
///
/// A calendar (Brown 1988) in which each day has a pairing heap. Taking out the first of a heap costs a look at all that were
/// armed behind it, once: in one heap for a million that was 10 to 27 ms in which the loop stood still.
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
  time_point next_due() const noexcept;

  /// Runs at most `limit` timers due at or before `now`, earliest first, and returns how many it ran. A callback may arm,
  /// disarm or destroy any timer, its own included; a timer armed meanwhile for a time already past runs in a later call.
  std::size_t run_due(time_point now, std::size_t limit);

  std::size_t size() const noexcept { return size_; }

 private:
  using heap = intrusive_heap<timer, timer::before>;

  // a day is 2^26 ns, 67 ms, and the calendar goes 17 s ahead, further than most deadlines
  static constexpr unsigned day_bits = 26;
  static constexpr std::size_t days = 256;
  static constexpr std::size_t word_bits = 64;

  static std::int64_t day_of(time_point at) noexcept { return at.time_since_epoch().count() >> day_bits; }
  static std::size_t page_of(std::int64_t day) noexcept { return static_cast<std::size_t>(day) % days; }

  timer* first() const noexcept;
  std::int64_t first_day() const noexcept;
  void mark(std::size_t page, bool used) noexcept;

  // from today on, each day on a page of its own; the last for those that were before today, or beyond the calendar, when they
  // were armed
  std::array<heap, days + 1> calendar_;
  std::array<std::uint64_t, days / word_bits> used_{};  // the pages that are not empty, a bit each
  std::int64_t today_ = 0;
  std::uint64_t next_order_ = 0;
  std::size_t size_ = 0;
  time_point running_at_ = time_point::min();  // the `now` of the run_due under way
};

}  // namespace millrace
