// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/turn_cork.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

namespace millrace {

void turn_cork::cork() noexcept {
  since_flush_ = 0;
  descriptor_ = socket_();
  if (descriptor_ < 0 || !set(1)) return;
  stats_.corked = true;
  ++stats_.corks;
  since_ = loop_.now();
}

void turn_cork::uncork() noexcept {
  if (!stats_.corked) return;
  stats_.corked = false;
  // on the descriptor that was corked, whatever became of the connection
  set(0);
  stats_.longest = std::max(stats_.longest, loop_.events().now() - since_);
}

bool turn_cork::set(int value) noexcept {
  return setsockopt(descriptor_, IPPROTO_TCP, TCP_CORK, &value, sizeof value) == 0;
}

}  // namespace millrace
