// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/connectivity.hpp>
#include <millrace/pool/channel.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

struct slot_snapshot {
  std::uint32_t number;
  std::string endpoint;
  slot_state state;
  duration in_state;
  std::uint32_t in_flight;
  std::uint32_t connections;  ///< Times it became ready.
  std::string last_failure;   ///< Why a dial failed last; empty when none has.
  duration keepalive_time;    ///< Of silence before its channel pings; 0: never. Grows when the server minds the pings.
  coalescing_stats coalescing;  ///< What it did on this slot, over all its connections.
  std::string not_coalesced;    ///< Why it does nothing here; empty when it may.
};

/// A pool at one moment.
struct pool_snapshot {
  std::vector<slot_snapshot> slots;
  std::uint32_t ready = 0;
  std::uint32_t open = 0;  ///< Slots that are neither draining nor closed.
  std::uint32_t in_flight = 0;
  std::uint32_t waiting = 0;
  bool draining = false;
  /// Where one endpoint is enough (`pick_first`): the one of each priority that was found, while it is the one. No others have
  /// slots while it is, other than draining ones.
  std::vector<std::string> chosen{};
  double retry_budget = 0;      ///< Retries that could be paid for.
  coalescing_stats coalescing;  ///< What it did on all slots so far, those that are gone included.
};

}  // namespace millrace
