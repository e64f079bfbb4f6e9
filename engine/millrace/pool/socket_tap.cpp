// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/socket_tap.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace millrace {
namespace {

bool is_connected(int descriptor) noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

void drop(int descriptor) noexcept {
  if (descriptor >= 0) close(descriptor);
}

}  // namespace

socket_tap::~socket_tap() {
  drop(current_);
  drop(caught_.load(std::memory_order_acquire));
}

void socket_tap::install(grpc::ChannelArguments& args) {
  show_sockets(args, socket_use::client_connection, shared_from_this());
}

void socket_tap::take(int descriptor) noexcept {
  drop(caught_.exchange(second_descriptor(descriptor), std::memory_order_acq_rel));
}

int socket_tap::descriptor() {
  if (int const fresh = caught_.exchange(-1, std::memory_order_acq_rel); fresh >= 0) {
    drop(std::exchange(current_, fresh));
    if (!is_connected(current_)) drop(std::exchange(current_, -1));
  }
  return current_;
}

}  // namespace millrace
