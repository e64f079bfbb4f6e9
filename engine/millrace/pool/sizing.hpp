// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

/// How many slots a pool may have.
struct slot_bounds {
  std::uint32_t min;  ///< Kept open.
  std::uint32_t max;  ///< Open at once; slots that drain do not count.
};

/// What `pool_params::min_slots` and `max_slots` come to with so many endpoints.
slot_bounds slots_for(std::uint32_t min_slots, std::uint32_t max_slots, std::uint32_t endpoints) noexcept;

}  // namespace millrace
