// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/sizing.hpp>

#include <algorithm>

namespace millrace {

slot_bounds slots_for(std::uint32_t min_slots, std::uint32_t max_slots, std::uint32_t endpoints) noexcept {
  if (min_slots == 0) min_slots = max_slots == 0 ? endpoints : std::min(endpoints, max_slots);
  if (max_slots == 0) max_slots = std::max(min_slots, 4 * endpoints);
  return {min_slots, max_slots};
}

}  // namespace millrace
