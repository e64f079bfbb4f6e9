// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace millrace::balance::impl {

/// How unwelcome a candidate is: 0 not at all, 1 for the slot, 2 and 3 for the endpoint.
constexpr unsigned unwelcome(candidate const& one, pick_info const& info) noexcept {
  unsigned const endpoint = info.avoid_endpoint != nobody && one.endpoint == info.avoid_endpoint ? 2 : 0;
  unsigned const slot = info.avoid_slot != nobody && one.slot == info.avoid_slot ? 1 : 0;
  return endpoint + slot;
}

/// The first of the least unwelcome candidates at or after `from`, around the end. There is at least one.
constexpr std::size_t most_welcome_from(std::size_t from, std::span<candidate const> candidates,
                                        pick_info const& info) noexcept {
  std::size_t best = from;
  for (std::size_t step = 1; step < candidates.size() && unwelcome(candidates[best], info) != 0; ++step) {
    std::size_t const at = (from + step) % candidates.size();
    if (unwelcome(candidates[at], info) < unwelcome(candidates[best], info)) best = at;
  }
  return best;
}

/// What every policy does about the avoided slot and endpoint: asks `choose()`, which returns an index, a few times for a
/// welcome one, then looks for one in order. None only without candidates.
template <class Choose>
constexpr std::optional<std::size_t> pick_avoiding(std::span<candidate const> candidates, pick_info const& info,
                                                   Choose choose) noexcept {
  if (candidates.empty()) return std::nullopt;
  constexpr int tries = 3;
  std::size_t chosen = choose();
  for (int tried = 1; tried < tries && unwelcome(candidates[chosen], info) != 0; ++tried) chosen = choose();
  return most_welcome_from(chosen, candidates, info);
}

}  // namespace millrace::balance::impl
