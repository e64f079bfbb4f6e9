// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>
#include <millrace/base/rng.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

/// Of a few candidates at random, the one with the fewest calls in flight for its weight (power of two choices: Mitzenmacher
/// 2001; gRFC A48). Who has more weight is drawn more often too (Berenbrink et al. 2014, "Balls into non-uniform bins"): calls in
/// flight are in proportion to weights, and so are the calls themselves when hardly any is in flight. A pick is O(1) a choice
/// while all weights are equal, else O(log n).
class least_request {
 public:
  static constexpr std::string_view name = "least_request";
  static constexpr unsigned fewest_choices = 2;
  static constexpr unsigned most_choices = 10;

  /// `choice_count` is how many are compared, 2 to 10 (A48); std::invalid_argument otherwise. With no more candidates than
  /// that, of equal weight, the least loaded of all is picked.
  explicit least_request(std::uint64_t seed, unsigned choice_count = fewest_choices);

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  std::size_t choose() noexcept;
  std::size_t draw(std::size_t drawn) noexcept;
  std::size_t choose_by_weight() noexcept;
  std::size_t at_weight(double weight) const noexcept;
  std::size_t draw_another(std::size_t than) noexcept;

  std::vector<candidate> candidates_;
  std::vector<std::uint32_t> deck_;  // the indices, shuffled as far as they were drawn
  std::vector<double> sums_;         // of the weights up to each candidate's; empty while all are equal
  rng random_;
  unsigned choice_count_;
};

}  // namespace millrace::balance
