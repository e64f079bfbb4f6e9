// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/slow_start.hpp>

#include <millrace/balance/impl/refuse.hpp>

#include <cmath>
#include <string>

namespace millrace::balance {

void validate(slow_start_params const& params, std::string_view field_prefix) {
  using impl::refuse;
  if (params.window < duration::zero()) {
    refuse(field_prefix, "window", std::to_string(params.window.count()) + " ns", "0 or more");
  }
  if (!(params.aggression > 0) || std::isinf(params.aggression)) {
    refuse(field_prefix, "aggression", std::to_string(params.aggression), "more than 0, finite");
  }
  if (!(params.min_weight > 0 && params.min_weight <= 1)) {
    refuse(field_prefix, "min_weight", std::to_string(params.min_weight), "more than 0, to 1");
  }
}

double slow_start_factor(slow_start_params const& params, duration since_ready) noexcept {
  if (since_ready >= params.window) return 1;
  double const part = static_cast<double>(since_ready.count()) / static_cast<double>(params.window.count());
  return std::max(params.min_weight, std::pow(std::max(part, 0.0), 1 / params.aggression));
}

}  // namespace millrace::balance
