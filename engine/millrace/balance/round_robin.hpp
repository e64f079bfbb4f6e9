// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/turn_heap.hpp>
#include <millrace/balance/picker.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

/// Each candidate in turn, whatever its load; those of more weight have more turns, which are spread evenly (earliest deadline
/// first, as Envoy's weighted round robin). A pick is O(1) while all weights are equal, else O(log n).
///
/// A rebuild goes on where the last pick left off. While weights are equal: with the slot whose turn it was, or the next of its
/// followers that is still there. Else what a slot has waited of its turn counts on, at its new weight, so that shares are right
/// however often weights change; who is new starts somewhere in its turn.
class round_robin {
 public:
  static constexpr std::string_view name = "round_robin";

  /// With equal weights the first pick is candidate `offset` modulo their number. Give each client a random one, or they all
  /// start with the same server.
  explicit round_robin(std::uint32_t offset = 0) noexcept;

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  using turn = impl::turn_heap::turn;

  std::size_t turn_in(std::span<candidate const> candidates, std::span<double const> waits) const noexcept;
  std::vector<turn> turns_of(std::span<candidate const> candidates, std::span<double const> waits);
  std::vector<double> waits_by_slot() const;
  double newcomers_wait() noexcept;
  std::size_t take_turn() noexcept;

  std::vector<candidate> candidates_;
  impl::turn_heap turns_;  // empty while all weights are equal: then next_ counts
  std::size_t next_;
  double last_wait_;
};

}  // namespace millrace::balance
