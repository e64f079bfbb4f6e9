// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {
struct endpoint;
}  // namespace millrace

namespace millrace::balance {

/// In place of a slot's or an endpoint's number: none of them.
inline constexpr std::uint32_t nobody = ~std::uint32_t{0};

/// A slot that may be picked: it is ready, and neither ejected nor unhealthy.
struct candidate {
  std::uint32_t slot;      ///< Its number in the pool.
  std::uint32_t endpoint;  ///< The number of its endpoint; several slots may share one.
  /// The slot's part of the calls beside the others': more than 0, and finite. May change at each rebuild, as it does while an
  /// endpoint starts slowly.
  double weight = 1;
  /// What the source of its endpoint says, 1 to 1 000 000, and nothing else: for the policies that lay keys out by it.
  std::uint32_t endpoint_weight = 1;
  std::uint64_t endpoint_hash =
      0;  ///< `stable_hash` of the endpoint's name: the same in all processes, as its number is not.
  /// The sum of `endpoint_weight` over all endpoints of the pool, ready or not; 0: not known. For the same.
  std::uint64_t pool_weight = 0;
  std::uint32_t const* in_flight;  ///< Calls on the slot. Lives in it, and outlives its last use by a policy.
  /// All that the source of its endpoint says of it: address, locality, metadata … (resolve/endpoint.hpp). Lives until the next
  /// `rebuild` is over, and does not change. Null where there is no pool.
  millrace::endpoint const* attributes = nullptr;
};

}  // namespace millrace::balance
