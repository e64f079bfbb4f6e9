// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <algorithm>
#include <chrono>
#include <string_view>

namespace millrace::balance {

/// How an endpoint that has become ready comes to its full weight, so that a server with cold caches is not met by its whole share
/// of the calls at once (Envoy's slow start).
struct slow_start_params {
  /// From ready to the full weight. 0: at once; not negative.
  duration window{};
  /// How the weight grows: 1 in a straight line, 2 like the square root, which is sooner; less than 1 is later. More than 0, finite.
  double aggression = 1;
  /// The part of the weight to begin with. More than 0, to 1.
  double min_weight = 0.1;
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(slow_start_params const& params, std::string_view field_prefix);

/// By what to multiply the weight of an endpoint that has been ready for so long: max(min_weight, (since_ready / window) ^
/// (1 / aggression)), and 1 from the window's end on. Expects validated params.
double slow_start_factor(slow_start_params const& params, duration since_ready) noexcept;

/// How often to set the weights anew while an endpoint is in its window: a hundredth of it, which is 1 % of the weight at an
/// aggression of 1, but not more often than every 10 ms.
constexpr duration slow_start_step(slow_start_params const& params) noexcept {
  return std::max<duration>(params.window / 100, std::chrono::milliseconds(10));
}

}  // namespace millrace::balance
