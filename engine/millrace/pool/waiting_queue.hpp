// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/waiter.hpp>
#include <millrace/time/timer.hpp>

#include <cstdint>

namespace millrace {

class loop;

/// The wishes that wait for a permit, in order, each for so long at most.
class waiting_queue {
 public:
  /// `max_wait` zero or less: for as long as they like. `on_waited_out` is called with the first when it has waited that long; it
  /// removes it.
  waiting_queue(loop& on, duration max_wait, bound<void(waiter&)> on_waited_out) noexcept
      : loop_(on), max_wait_(max_wait), on_waited_out_(on_waited_out) {}
  waiting_queue(waiting_queue const&) = delete;
  waiting_queue& operator=(waiting_queue const&) = delete;

  std::uint32_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Null when it is empty.
  waiter* front() noexcept { return waiters_.front(); }

  /// The next in order; null at the end.
  waiter* after(waiter& one) noexcept { return waiters_.after(one); }

  void push_back(waiter& one) noexcept;
  void remove(waiter& one) noexcept;

 private:
  void arm() noexcept;
  void on_due();

  loop& loop_;
  duration const max_wait_;
  bound<void(waiter&)> const on_waited_out_;
  intrusive_list<waiter, waiter_tag> waiters_;
  std::uint32_t size_ = 0;
  timer due_{bound<void()>::to<&waiting_queue::on_due>(*this)};
};

}  // namespace millrace
