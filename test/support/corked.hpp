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

#include <array>
#include <cstdint>
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

inline int port_of(sockaddr_storage const& address) {
  bool const v4 = address.ss_family == AF_INET;
  return ntohs(v4 ? reinterpret_cast<sockaddr_in const&>(address).sin_port
                  : reinterpret_cast<sockaddr_in6 const&>(address).sin6_port);
}

enum class side { client, server };

/// A descriptor of a connection to a port of this machine, at one of its ends; -1 when there is none.
inline int connected_socket(int port, side at) {
  for (int const one : open_descriptors()) {
    sockaddr_storage own{};
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (getpeername(one, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    size = sizeof own;
    if (getsockname(one, reinterpret_cast<sockaddr*>(&own), &size) != 0) continue;
    if (own.ss_family != AF_INET && own.ss_family != AF_INET6) continue;
    if (port_of(at == side::client ? peer : own) == port) return one;
  }
  return -1;
}

/// Segments with data that a TCP socket has sent.
inline std::uint32_t data_segments_out(int descriptor) {
  struct {
    std::array<char, 156> before;  // of Linux' tcp_info; glibc's ends earlier
    std::uint32_t data_segs_out;
  } info{};
  socklen_t size = sizeof info;
  REQUIRE(getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  REQUIRE(size == sizeof info);
  return info.data_segs_out;
}

/// A socket that listens on a free loopback port.
class tcp_listener {
 public:
  tcp_listener() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    REQUIRE(bind(descriptor_, reinterpret_cast<sockaddr*>(&address_), size) == 0);
    REQUIRE(listen(descriptor_, 8) == 0);
    getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address_), &size);
  }
  tcp_listener(tcp_listener const&) = delete;
  tcp_listener& operator=(tcp_listener const&) = delete;
  ~tcp_listener() { close(descriptor_); }

  int port() const noexcept { return ntohs(address_.sin_port); }
  void connect(int from) const {
    REQUIRE(::connect(from, reinterpret_cast<sockaddr const*>(&address_), sizeof address_) == 0);
  }
  int accept() const {
    int const one = ::accept(descriptor_, nullptr, nullptr);
    REQUIRE(one >= 0);
    return one;
  }

 private:
  int const descriptor_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address_{};
};

/// A connected pair of TCP sockets over loopback.
class tcp_pair {
 public:
  tcp_pair() {
    tcp_listener const listener;
    near_ = socket(AF_INET, SOCK_STREAM, 0);
    listener.connect(near_);
    far_ = listener.accept();
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
