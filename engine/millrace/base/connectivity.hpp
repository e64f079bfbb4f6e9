// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace {

/// A channel's connectivity, numbered as gRPC numbers it (doc/connectivity-semantics-and-api.md).
enum class connectivity { idle, connecting, ready, transient_failure, shutdown };

constexpr std::string_view to_string(connectivity value) noexcept {
  switch (value) {
    case connectivity::idle: return "IDLE";
    case connectivity::connecting: return "CONNECTING";
    case connectivity::ready: return "READY";
    case connectivity::transient_failure: return "TRANSIENT_FAILURE";
    case connectivity::shutdown: return "SHUTDOWN";
  }
  return "?";
}

/// Where a slot of a pool stands.
enum class slot_state {
  vacant,       ///< No channel yet.
  idle,         ///< It wants a connection and waits for its turn to dial.
  connecting,   ///< A dial is in flight.
  ready,        ///< Connected: calls may use it.
  backing_off,  ///< The last dial failed; the next waits for its time.
  draining,     ///< It takes no new call and waits for those in flight.
  closed,       ///< Its channel is gone, for good.
};

constexpr std::string_view to_string(slot_state value) noexcept {
  switch (value) {
    case slot_state::vacant: return "vacant";
    case slot_state::idle: return "idle";
    case slot_state::connecting: return "connecting";
    case slot_state::ready: return "ready";
    case slot_state::backing_off: return "backing_off";
    case slot_state::draining: return "draining";
    case slot_state::closed: return "closed";
  }
  return "?";
}

}  // namespace millrace
