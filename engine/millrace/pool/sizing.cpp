// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/sizing.hpp>

#include <algorithm>

namespace millrace {
namespace {

auto open_on(std::span<slot_size const> slots, std::uint32_t endpoint) noexcept {
  return std::count_if(slots.begin(), slots.end(),
                       [=](slot_size const& one) { return one.open && one.endpoint == endpoint; });
}

bool any(std::span<slot_size const> slots, auto&& test) noexcept {
  return std::any_of(slots.begin(), slots.end(), test);
}

}  // namespace

std::optional<std::uint32_t> slot_to_grow(std::span<slot_size const> slots) noexcept {
  if (any(slots, [](slot_size const& one) { return one.ready && one.free > 0; })) return std::nullopt;
  bool const connected = any(slots, [](slot_size const& one) { return one.ready; });
  bool const dialing = any(slots, [](slot_size const& one) { return one.dialing; });
  if (!connected && dialing) return std::nullopt;
  std::optional<std::uint32_t> best;
  for (std::uint32_t at = 0; at < slots.size(); ++at) {
    slot_size const& one = slots[at];
    auto const same = [&](slot_size const& other) { return other.dialing && other.endpoint == one.endpoint; };
    if (one.open || any(slots, same)) continue;
    // in an outage more connections to where there is none would only dial more
    if (!connected && open_on(slots, one.endpoint) > 0) continue;
    if (!best || open_on(slots, one.endpoint) < open_on(slots, slots[*best].endpoint)) best = at;
  }
  return best;
}

}  // namespace millrace
