// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <memory>

namespace millrace {

/// Is shown the sockets that gRPC makes, before they are used.
///
/// `ChannelArguments::SetSocketMutator` is public, but its struct is not in the installed headers, so its layout is known only
/// for the gRPC versions this was checked with (socket_mutator.cpp). Built against another one, nothing is shown, and nobody
/// corks.
class socket_catcher {
 public:
  virtual ~socket_catcher() = default;

  /// Any thread: whichever dials or accepts. The descriptor is gRPC's; keep a `second_descriptor` of it.
  virtual void take(int descriptor) noexcept = 0;
};

enum class socket_use { client_connection, server_connection };

/// Has gRPC show its sockets of that use to `catcher`, which it keeps as long as the arguments and what is made with them.
void show_sockets(grpc::ChannelArguments& args, socket_use use, std::shared_ptr<socket_catcher> catcher);

/// Whether this build can.
bool can_tap_sockets() noexcept;

/// Another descriptor, the caller's, of a TCP socket; -1 for what is none. A system call on it is harmless even after gRPC
/// closed its own.
int second_descriptor(int of) noexcept;

}  // namespace millrace
