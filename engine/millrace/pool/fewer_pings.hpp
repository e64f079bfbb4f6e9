// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <algorithm>
#include <chrono>
#include <string_view>

namespace millrace {

/// So much silence before a ping is enough for any server: what gRPC's own servers leave before they ping (gRFC A9).
inline constexpr duration longest_keepalive_time = std::chrono::hours(2);

/// The silence before a ping for the next connection to an endpoint, after one with `time` was closed for too many pings: twice
/// as long, up to `longest_keepalive_time`. What is longer already stays, and 0, no pings, does. As gRPC does within a channel
/// (gRFC A8), where it goes on doubling.
constexpr duration with_fewer_pings(duration time) noexcept {
  if (time >= longest_keepalive_time) return time;
  return std::min(time * 2, longest_keepalive_time);
}

/// A call that ended with this status message says that its connection was closed for too many pings: gRPC's servers in C++ end
/// their streams with the former, and later gRPCs quote the GOAWAY. gRPC 1.51 does not (test/live/channel_test.cpp).
constexpr bool blames_pings(std::string_view message) noexcept {
  return message == "Too many pings" || message.find("too_many_pings") != message.npos;
}

}  // namespace millrace
