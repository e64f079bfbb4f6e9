// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace millrace::balance {

/// Whether so few of the endpoints that can be reached are usable that ejections and health are to be ignored: sending the calls of all to the few would
/// bring those down too (Envoy's panic threshold). `threshold` is a part of 1; with 0 never, nor without endpoints.
constexpr bool panics(std::size_t usable, std::size_t all, double threshold) noexcept {
  return all > 0 && static_cast<double>(usable) / static_cast<double>(all) < threshold;
}

}  // namespace millrace::balance
