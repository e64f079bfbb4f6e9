// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/steady_timer.hpp>

namespace millrace {

std::size_t steady_timer::expires_at(time_point at) noexcept {
  std::size_t const ended = cancel();
  expiry_ = at;
  return ended;
}

void steady_timer::enlist(timer_wait& wait) noexcept {
  waits_.push_back(wait);
  if (loop_.stopping()) {
    end_wait(wait, boost::asio::error::operation_aborted);
  } else {
    loop_.arm(timer_, expiry_);
  }
}

void steady_timer::end_wait(timer_wait& wait, boost::system::error_code result) noexcept {
  auto& place = static_cast<millrace::list_base<timer_wait_tag>&>(wait);
  if (!place.linked()) return;  // it has ended already, and its handler is about to run
  place.unlink();
  wait.result = result;
  loop_.schedule(wait);
  if (waits_.empty()) loop_.disarm(timer_);
}

std::size_t steady_timer::end_waits(boost::system::error_code result) noexcept {
  std::size_t ended = 0;
  while (timer_wait* const wait = waits_.front()) {
    end_wait(*wait, result);
    ++ended;
  }
  return ended;
}

}  // namespace millrace
