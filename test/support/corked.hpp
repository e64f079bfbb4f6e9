// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/catch.hpp>

#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace millrace::test {

/// Whether the kernel holds back what is written to a socket.
inline bool is_corked(int descriptor) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(descriptor, IPPROTO_TCP, TCP_CORK, &value, &size) == 0 && value != 0;
}

inline std::vector<int> open_descriptors() {
  std::vector<int> all;
  for (auto const& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    all.push_back(std::stoi(entry.path().filename().string()));
  }
  return all;
}

/// Sockets of this process, gRPC's among them, that are corked.
inline int corked_sockets() {
  int found = 0;
  for (int const one : open_descriptors()) found += is_corked(one);
  return found;
}

/// A connected pair of TCP sockets over loopback.
class tcp_pair {
 public:
  tcp_pair() {
    int const listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener, 1) == 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    near_ = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(near_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    far_ = accept(listener, nullptr, nullptr);
    REQUIRE(far_ >= 0);
    close(listener);
  }
  tcp_pair(tcp_pair const&) = delete;
  tcp_pair& operator=(tcp_pair const&) = delete;
  ~tcp_pair() {
    close(near_);
    hang_up();
  }

  int near() const noexcept { return near_; }
  int far() const noexcept { return far_; }
  void hang_up() {
    if (far_ >= 0) close(far_);
    far_ = -1;
  }

 private:
  int near_ = -1;
  int far_ = -1;
};

/// Keeps `depth` calls in flight until `total` are done. Returns how many were answered with their own text.
inline int flood(millrace::loop& loop, client<echo::Echo>& with, int depth, int total) {
  int started = 0;
  int good = 0;
  std::function<void()> next = [&] {
    if (started == total) return;
    echo::EchoRequest request;
    request.set_text(std::to_string(started++));
    with.async_call<&echo::Echo::Stub::PrepareAsyncSay>(request, {.timeout = std::chrono::seconds(20)},
                                                        [&, text = request.text()](rpc_result<echo::EchoReply> reply) {
                                                          good += reply && reply->text() == text;
                                                          next();
                                                        });
  };
  for (int at = 0; at < depth; ++at) next();
  loop.run();
  return good;
}

}  // namespace millrace::test
