// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/base/intrusive_heap.hpp>
#include <millrace/time/clock.hpp>

#include <cstddef>
#include <cstdint>

namespace millrace {

class timer_queue;

/// One deadline in a timer_queue, embedded in whatever waits for it. Disarms itself when destroyed.
class timer : private heap_hook {
 public:
  /// `on_due` runs from the queue's `run_due`, with the timer already disarmed.
  explicit timer(bound<void()> on_due) noexcept : on_due_(on_due) {}
  timer(timer const&) = delete;
  timer& operator=(timer const&) = delete;
  ~timer() {
    if (armed()) leave();
  }

  bool armed() const noexcept { return queue_ != nullptr; }

  /// When it falls due; meaningless while not armed.
  time_point due() const noexcept { return due_; }

 private:
  friend class timer_queue;
  struct before;
  template <class T, class Before>
  friend class intrusive_heap;

  void leave() noexcept;

  timer_queue* queue_ = nullptr;
  time_point due_{};
  std::uint64_t order_ = 0;  // equal times leave in the order they were armed
  std::size_t page_ = 0;     // of the queue's calendar
  bound<void()> on_due_;
};

struct timer::before {
  bool operator()(timer const& a, timer const& b) const noexcept {
    return a.due_ != b.due_ ? a.due_ < b.due_ : a.order_ < b.order_;
  }
};

}  // namespace millrace
