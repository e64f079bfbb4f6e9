// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/turn_cork.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

namespace millrace {

void turn_cork::cork() noexcept {
  since_flush_ = 0;
  if (stats_.corked) return;  // it would not let go
  descriptor_ = socket_();
  gave_up_ = descriptor_ < 0 || !set(1);
  if (gave_up_) return;
  stats_.corked = true;
  ++stats_.corks;
  since_ = loop_.events().now();
}

void turn_cork::uncork() noexcept {
  if (!stats_.corked) return;
  // on the descriptor that was corked, whatever became of the connection
  if (!set(0)) {
    ++stats_.failed_uncorks;
    return;
  }
  stats_.corked = false;
  duration const held = loop_.events().now() - since_;
  stats_.held += held;
  stats_.longest = std::max(stats_.longest, held);
}

bool turn_cork::set(int value) noexcept {
  return setsockopt(descriptor_, IPPROTO_TCP, TCP_CORK, &value, sizeof value) == 0;
}

}  // namespace millrace
