// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>
#include <string_view>

namespace millrace {

/// Is shown the sockets that gRPC makes, before they are used.
///
/// `ChannelArguments::SetSocketMutator` is public, but its struct is not in the installed headers, so its layout is known only
/// for the gRPC versions this was checked with (socket_mutator.cpp). Built against another one, or loaded with another one than it
/// was built against, nothing is shown, and nobody corks.
class socket_catcher {
 public:
  virtual ~socket_catcher() = default;

  /// Any thread: whichever dials or accepts. The descriptor is gRPC's; keep a `second_descriptor` of it.
  virtual void take(int descriptor) noexcept = 0;
};

enum class socket_use { client_connection, server_connection };

/// Has gRPC show its sockets of that use to `catcher`, which it keeps as long as the arguments and what is made with them.
void show_sockets(grpc::ChannelArguments& args, socket_use use, std::shared_ptr<socket_catcher> catcher);

/// Why it cannot; empty when it can.
std::string_view why_no_sockets();
inline bool can_tap_sockets() { return why_no_sockets().empty(); }

/// Another descriptor, the caller's, of a TCP socket; -1 for what is none. A system call on it is harmless even after gRPC
/// closed its own.
int second_descriptor(int of) noexcept;

namespace impl {

/// The same for gRPC `major`.`minor` at build time and `loaded`, such as 1.51.1, at run time.
std::string why_no_sockets(int major, int minor, std::string_view loaded);

}  // namespace impl

}  // namespace millrace
