// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/check.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace {

/// Feeds a machine's events to its driver one at a time. An event that arises while another's actions are performed, because
/// an action finished at once or an observer called back, waits its turn: `step` is never entered from inside.
template <class Event, std::size_t Capacity = 8>
class event_pump {
  static_assert(std::is_trivially_copyable_v<Event>);

 public:
  // NOLINTNEXTLINE(modernize-use-equals-default): it would be deleted, because of the union
  event_pump() noexcept {}
  event_pump(event_pump const&) = delete;
  event_pump& operator=(event_pump const&) = delete;

  /// Calls `step(event)`, then `step` on whatever was fed meanwhile.
  template <class Step>
  void feed(Event const& event, Step&& step) {
    if (busy_) {
      MILLRACE_CHECK(count_ < Capacity);
      std::construct_at(&waiting_[(first_ + count_++) % Capacity], event);
      return;
    }
    busy_ = true;
    step(event);
    // each stays in its place until its step is over
    for (; count_ > 0; --count_) {
      step(std::as_const(waiting_[first_]));
      first_ = (first_ + 1) % Capacity;
    }
    busy_ = false;
  }

 private:
  union {
    Event waiting_[Capacity];  // only those that wait are initialised
  };
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  bool busy_ = false;
};

}  // namespace millrace
