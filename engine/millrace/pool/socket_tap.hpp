// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/socket_mutator.hpp>

#include <atomic>
#include <memory>

namespace millrace {

/// A second descriptor of the TCP socket that a channel is connected through, got from gRPC's socket mutator. Whenever the
/// socket is not what it should be, there is none.
class socket_tap final : public socket_catcher, public std::enable_shared_from_this<socket_tap> {
 public:
  /// One for a channel that is about to be made.
  static std::shared_ptr<socket_tap> create() { return std::make_shared<socket_tap>(); }

  ~socket_tap() override;

  /// Has gRPC hand its sockets over. Once, before the channel is made; gRPC keeps the tap alive.
  void install(grpc::ChannelArguments& args);

  /// The connection's socket, or -1. Valid until asked again or the tap's end.
  int descriptor();

  void take(int descriptor) noexcept override;

 private:
  std::atomic<int> caught_ = -1;  // by whichever thread dials, and not asked for yet
  int current_ = -1;
};

}  // namespace millrace
