// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace millrace {

/// What sizing needs to know of one slot.
struct slot_size {
  std::uint32_t endpoint;
  bool open;     ///< Not vacant.
  bool dialing;  ///< Idle or connecting: a connection is on its way.
  bool ready;
  std::uint32_t free;  ///< Calls it can still take.
};

/// Which vacant slot a pool should open because calls wait for room (gRFC A105's rule: a new connection only when every
/// ready one is full, one dial at a time an endpoint). While none is ready, only an endpoint that was not tried yet. None when
/// there is room, when room is on its way, or when all are open.
std::optional<std::uint32_t> slot_to_grow(std::span<slot_size const> slots) noexcept;

}  // namespace millrace
