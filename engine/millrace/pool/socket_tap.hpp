// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/socket_mutator.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>

namespace millrace {

/// A second descriptor of the TCP socket that a channel is connected through, got from gRPC's socket mutator. Whenever the
/// socket is not what it should be, there is none.
class socket_tap final : public socket_catcher, public std::enable_shared_from_this<socket_tap> {
 public:
  /// One for a channel to `endpoint` that is about to be made. A socket to another port, or to another address where the endpoint is
  /// one, is none of the channel's; a proxy's is not either. What only gRPC understands (`xds:///name`) is not compared.
  static std::shared_ptr<socket_tap> create(std::string_view endpoint) {
    return std::make_shared<socket_tap>(endpoint);
  }

  explicit socket_tap(std::string_view endpoint);
  ~socket_tap() override;

  /// Has gRPC hand its sockets over. Once, before the channel is made; gRPC keeps the tap alive.
  void install(grpc::ChannelArguments& args);

  /// The connection's socket, or -1. Valid until asked again or the tap's end.
  int descriptor();

  /// Why there is none; empty when there is one, or may be: a socket was shown that nobody has asked for yet.
  std::string_view why_none() const noexcept;

  void take(int descriptor) noexcept override;

 private:
  bool is_endpoint(sockaddr_storage const& peer) const noexcept;

  // of the endpoint, as far as it says; an IPv4 address is mapped
  std::optional<in6_addr> address_;
  int port_ = 0;

  std::atomic<int> caught_ = -1;  // by whichever thread dials, and not asked for yet
  int dialing_ = -1;              // gRPC shows its sockets before they are connected: not so when it was last looked at
  int current_ = -1;
  bool elsewhere_ = false;  // the last one that was connected was so to somebody else
};

}  // namespace millrace
