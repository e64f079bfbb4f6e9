// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

/// Each candidate in turn, whatever its weight and load. A rebuild goes on where the last pick left off: with the slot whose
/// turn it was, or the next of its followers that is still there.
class round_robin {
 public:
  static constexpr std::string_view name = "round_robin";

  /// The first pick is candidate `offset` modulo their number. Give each client a random one, or they all start with the
  /// same server.
  explicit round_robin(std::uint32_t offset = 0) noexcept : next_(offset) {}

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  std::size_t turn_in(std::span<candidate const> candidates) const noexcept;
  std::size_t take_turn() noexcept;

  std::vector<candidate> candidates_;
  std::size_t next_;
};

}  // namespace millrace::balance
