// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace millrace::streams {

/// What a stream carries.
enum class pattern {
  ping_pong,  ///< One message there and back, then the next.
  down,       ///< As many as the server sends.
  up,         ///< As many as the server takes.
};

struct named_pattern {
  pattern what;
  char const* name;
  char const* method;
};
inline constexpr std::array<named_pattern, 3> patterns = {{{pattern::ping_pong, "bidi ping-pong", "/streams/echo"},
                                                           {pattern::down, "server flood", "/streams/down"},
                                                           {pattern::up, "client flood", "/streams/up"}}};

struct workload {
  named_pattern of;
  std::size_t message_bytes;
  std::chrono::nanoseconds warm_up;
  std::chrono::nanoseconds window;
};

/// A client on the calling thread, with one connection.
class client {
 public:
  virtual ~client() = default;

  /// Messages a second, over one stream.
  virtual double run(workload const& what) = 0;
};

std::unique_ptr<client> make_engine(std::string const& target);

/// gRPC's asynchronous API as its examples use it.
std::unique_ptr<client> make_plain(std::string const& target);

}  // namespace millrace::streams
