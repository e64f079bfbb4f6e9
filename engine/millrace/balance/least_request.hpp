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
/// 2001; gRFC A48). Equally loaded ones share the calls evenly.
class least_request {
 public:
  static constexpr std::string_view name = "least_request";
  static constexpr unsigned fewest_choices = 2;
  static constexpr unsigned most_choices = 10;

  /// `choice_count` is how many are compared, 2 to 10 (A48); std::invalid_argument otherwise. With no more candidates than
  /// that, the least loaded of all is picked.
  explicit least_request(std::uint64_t seed, unsigned choice_count = fewest_choices);

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  std::size_t choose() noexcept;
  std::size_t draw(std::size_t drawn) noexcept;

  std::vector<candidate> candidates_;
  std::vector<std::uint32_t> deck_;  // the indices, shuffled as far as they were drawn
  rng random_;
  unsigned choice_count_;
};

}  // namespace millrace::balance
