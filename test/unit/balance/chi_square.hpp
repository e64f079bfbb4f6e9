// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace millrace::balance {

/// Whether counts are what chance makes of these weights: Pearson's chi-square is below the value that it exceeds once in a million
/// times (Wilson and Hilferty's approximation, a little above for few degrees of freedom). At least 5 are to be expected of each.
inline bool plausible(std::vector<int> const& counts, std::vector<double> const& weights) {
  double all = 0, total = 0, chi_square = 0;
  for (std::size_t at = 0; at < counts.size(); ++at) {
    all += counts[at];
    total += weights[at];
  }
  for (std::size_t at = 0; at < counts.size(); ++at) {
    double const expected = all * weights[at] / total;
    chi_square += (counts[at] - expected) * (counts[at] - expected) / expected;
  }
  double const freedom = static_cast<double>(counts.size() - 1);
  double const variance = 2 / (9 * freedom);
  constexpr double once_in_a_million = 4.7534;  // standard deviations
  return chi_square < freedom * std::pow(1 - variance + once_in_a_million * std::sqrt(variance), 3);
}

/// All alike.
inline bool plausible(std::vector<int> const& counts) {
  return plausible(counts, std::vector<double>(counts.size(), 1));
}

}  // namespace millrace::balance
