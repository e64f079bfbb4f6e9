// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace::balance {

/// In place of a slot's or an endpoint's number: none of them.
inline constexpr std::uint32_t nobody = ~std::uint32_t{0};

/// A slot that may be picked: it is ready, and neither ejected nor unhealthy.
struct candidate {
  std::uint32_t slot;      ///< Its number in the pool.
  std::uint32_t endpoint;  ///< The number of its endpoint; several slots may share one.
  std::uint32_t weight = 1;
  std::uint64_t endpoint_hash =
      0;  ///< `stable_hash` of the endpoint's name: the same in all processes, as its number is not.
  std::uint32_t const* in_flight;  ///< Calls on the slot. Lives in it, and outlives its last use by a policy.
};

}  // namespace millrace::balance
