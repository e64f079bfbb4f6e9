// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/waiting_queue.hpp>

#include <millrace/loop/loop.hpp>

namespace millrace {

void waiting_queue::push_back(waiter& one) noexcept {
  waiters_.push_back(one);
  if (++size_ == 1) arm();
}

void waiting_queue::remove(waiter& one) noexcept {
  static_cast<list_base<waiter_tag>&>(one).unlink();
  if (--size_ == 0 && max_wait_ > duration::zero()) loop_.disarm(due_);
}

// the first has waited longest; a timer that falls due for one that has left in between is set again
void waiting_queue::arm() noexcept {
  if (max_wait_ > duration::zero()) loop_.arm(due_, saturating_add(waiters_.front()->since_, max_wait_));
}

void waiting_queue::on_due() {
  while (waiter* const first = waiters_.front()) {
    if (saturating_add(first->since_, max_wait_) > loop_.now()) return arm();
    on_waited_out_(*first);
  }
}

}  // namespace millrace
