// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/check.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace millrace {

/// Feeds a machine's events to its driver one at a time. An event that arises while another's actions are performed, because
/// an action finished at once or an observer called back, waits its turn: `step` is never entered from inside.
template <class Event, std::size_t Capacity = 8>
class event_pump {
 public:
  /// Calls `step(event)`, then `step` on whatever was fed meanwhile.
  template <class Step>
  void feed(Event event, Step&& step) {
    if (busy_) {
      MILLRACE_CHECK(count_ < Capacity);
      waiting_[(first_ + count_++) % Capacity] = std::move(event);
      return;
    }
    busy_ = true;
    step(event);
    while (count_ > 0) {
      event = std::move(waiting_[first_]);
      first_ = (first_ + 1) % Capacity;
      --count_;
      step(event);
    }
    busy_ = false;
  }

 private:
  std::array<Event, Capacity> waiting_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  bool busy_ = false;
};

}  // namespace millrace
