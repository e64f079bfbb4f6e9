// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace millrace::balance::impl {

/// Turns in proportion to weights, evenly spread: the earliest is due first, and again 1 / weight later (earliest deadline first,
/// as Envoy's EdfScheduler and grpc-go's wrr have it; for any ratio of weights, where gRPC's static stride scheduler rounds them to
/// 16 bits). Between two moments each has its weight times the time between them in turns, but for one.
class turn_heap {
 public:
  struct turn {
    double due;
    std::uint32_t of;  // of those that are due at the same time the lowest comes first
    double period;     // 1 / weight
  };

  bool empty() const noexcept { return turns_.empty(); }

  /// Time starts at 0 again.
  void assign(std::vector<turn> turns);

  /// Whose turn it is; there is one. O(log n).
  std::uint32_t take() noexcept;

  /// All, in no order, but for the next one, which is the first.
  std::span<turn const> turns() const noexcept { return turns_; }
  /// When the last turn was due.
  double now() const noexcept { return now_; }

 private:
  std::vector<turn> turns_;  // a binary heap, as of std::make_heap
  double now_ = 0;
};

}  // namespace millrace::balance::impl
