// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/steady_timer.hpp>

namespace millrace {

std::size_t steady_timer::expires_at(time_point at) noexcept {
  std::size_t const ended = cancel();
  expiry_ = at;
  return ended;
}

void steady_timer::enlist(wait& one) noexcept {
  waits_.push_back(one);
  if (loop_.stopping()) {
    end_wait(one, boost::asio::error::operation_aborted);
  } else {
    loop_.arm(timer_, expiry_);
  }
}

void steady_timer::end_wait(wait& one, boost::system::error_code result) noexcept {
  if (!one.linked()) return;  // it has ended already, and its handler is about to run
  one.unlink();
  one.result = result;
  loop_.schedule(one);
  if (waits_.empty()) loop_.disarm(timer_);
}

std::size_t steady_timer::end_waits(boost::system::error_code result) noexcept {
  std::size_t ended = 0;
  while (wait* const one = waits_.front()) {
    end_wait(*one, result);
    ++ended;
  }
  return ended;
}

}  // namespace millrace
