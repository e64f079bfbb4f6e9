// SPDX-License-Identifier: Apache-2.0
#include <millrace/time/timer_queue.hpp>

#include <algorithm>

namespace millrace {

timer::~timer() {
  if (queue_ != nullptr) queue_->disarm(*this);
}

timer_queue::~timer_queue() {
  while (timer* const first = heap_.top()) disarm(*first);
}

void timer_queue::arm(timer& timer, time_point at) noexcept {
  disarm(timer);
  if (at == never) return;
  // while due timers run, one armed for the past stands behind them, or it would starve them
  timer.due_ = std::max(at, running_at_);
  timer.order_ = next_order_++;
  timer.queue_ = this;
  heap_.insert(timer);
  ++size_;
}

void timer_queue::disarm(timer& timer) noexcept {
  if (timer.queue_ == nullptr) return;
  heap_.remove(timer);
  timer.queue_ = nullptr;
  --size_;
}

std::size_t timer_queue::run_due(time_point now, std::size_t limit) {
  std::uint64_t const armed_before = next_order_;
  running_at_ = now;
  std::size_t ran = 0;
  while (ran < limit) {
    timer* const first = heap_.top();
    // a timer that a callback armed waits for the next round, so that one which re-arms itself for "now" starves nobody
    if (first == nullptr || first->due_ > now || first->order_ >= armed_before) break;
    disarm(*first);
    ++ran;
    first->on_due_();
  }
  running_at_ = time_point::min();
  return ran;
}

}  // namespace millrace
