// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/sizing.hpp>

#include <algorithm>

namespace millrace {
namespace {

auto open_on(std::span<slot_size const> slots, std::uint32_t endpoint) noexcept {
  return std::count_if(slots.begin(), slots.end(),
                       [=](slot_size const& one) { return one.open && one.endpoint == endpoint; });
}

bool dials(std::span<slot_size const> slots, std::uint32_t endpoint) noexcept {
  return std::any_of(slots.begin(), slots.end(),
                     [=](slot_size const& one) { return one.dialing && one.endpoint == endpoint; });
}

}  // namespace

std::optional<std::uint32_t> slot_to_grow(std::span<slot_size const> slots) noexcept {
  std::optional<std::uint32_t> best;
  for (std::uint32_t at = 0; at < slots.size(); ++at) {
    slot_size const& one = slots[at];
    if (one.ready && one.free > 0) return std::nullopt;
    if (one.open || dials(slots, one.endpoint)) continue;
    if (!best || open_on(slots, one.endpoint) < open_on(slots, slots[*best].endpoint)) best = at;
  }
  return best;
}

}  // namespace millrace
