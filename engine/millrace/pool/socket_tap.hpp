// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <memory>

struct grpc_socket_mutator;

namespace millrace {

/// A second descriptor of the TCP socket that a channel is connected through, got from gRPC's socket mutator.
///
/// `ChannelArguments::SetSocketMutator` is public, but its struct is not in the installed headers, so its layout is known only
/// for the gRPC versions this was checked with (socket_tap.cpp); built against another one, and whenever the socket is not what
/// it should be, there is no descriptor and nobody corks.
class socket_tap {
 public:
  /// One for a channel that is about to be made.
  static std::shared_ptr<socket_tap> create();

  virtual ~socket_tap() = default;

  /// Has gRPC hand its sockets over. Once, before the channel is made; gRPC keeps the tap alive.
  virtual void install(grpc::ChannelArguments& args) = 0;

  /// The connection's socket, or -1. Valid until the next connection or the tap's end; a system call on it is harmless
  /// even after gRPC closed its own descriptor.
  virtual int descriptor() = 0;
};

/// Whether this build can tap at all.
bool can_tap_sockets() noexcept;

}  // namespace millrace
