// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/pool/coalescing.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace millrace {

/// Write coalescing for one connection. gRPC writes to the socket for every call that starts and every reply, which is half of
/// a call's cost; TCP_CORK turns all but the last write of a turn into an append. Corks from the second write of a turn on, if
/// enough calls are in flight, and always uncorks when the turn's phase ends, exceptions included, and between two handlers once
/// it takes long. Without a socket it does nothing.
class turn_cork final : private turn_end_listener {
 public:
  /// Answers with the connection's socket, or -1. What it answered with stays open until it is asked again, or until the
  /// turn_cork is gone.
  using source = bound<int()>;

  turn_cork(loop& on, cork_params rule, source socket) : loop_(on), rule_(rule), socket_(socket) {}
  ~turn_cork() override { uncork(); }

  /// gRPC is about to write to the connection, which has `in_flight` calls, this one included.
  void before_write(std::uint32_t in_flight) noexcept {
    if (!loop_.at_turn_end(*this)) return;
    most_ = std::max(most_, in_flight);
    if (++writes_ < 2 || gave_up_ || std::max(most_, most_before_) < rule_.min_in_flight) return;
    if (!stats_.corked) {
      cork();
    } else if (++since_flush_ >= rule_.flush_every) {
      uncork();
      cork();
    }
  }

  /// Lets go what is held back, if anything is.
  void uncork() noexcept;

  /// In this turn, so far.
  std::uint32_t writes() const noexcept { return writes_; }

  coalescing_stats const& stats() const noexcept { return stats_; }

 private:
  void on_turn_end() noexcept override {
    uncork();
    writes_ = 0;
    gave_up_ = false;
    most_before_ = std::exchange(most_, 0);
  }
  // slow handlers one after the other do not add up
  void on_long_phase() noexcept override { uncork(); }
  void cork() noexcept;
  bool set(int value) noexcept;

  loop& loop_;
  cork_params const rule_;
  source const socket_;
  std::uint32_t writes_ = 0;
  // calls in flight, at most, at this turn's writes and at the last one's: a deep turn ends many calls before it starts the
  // next ones, so that the first of these would find few in flight
  std::uint32_t most_ = 0;
  std::uint32_t most_before_ = 0;
  std::uint32_t since_flush_ = 0;
  bool gave_up_ = false;  // in this turn: there is no socket, or it cannot be corked
  int descriptor_ = -1;
  time_point since_{};
  coalescing_stats stats_;
};

}  // namespace millrace
