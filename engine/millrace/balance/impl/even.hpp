// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/candidate.hpp>

#include <algorithm>
#include <span>

namespace millrace::balance::impl {

/// Whether all have the same weight, so that weights do not matter.
inline bool even(std::span<candidate const> candidates) noexcept {
  return std::ranges::all_of(candidates, [&](candidate const& one) { return one.weight == candidates[0].weight; });
}

}  // namespace millrace::balance::impl
