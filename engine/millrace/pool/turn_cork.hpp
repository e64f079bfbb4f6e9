// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>
#include <millrace/pool/params.hpp>
#include <millrace/pool/socket_tap.hpp>

#include <cstdint>
#include <memory>

namespace millrace {

/// Write coalescing for one connection. gRPC writes to the socket for every call that starts, which is half of a call's
/// cost; TCP_CORK turns all but the last write of a turn into an append. Corks from the second start of a turn on, if enough
/// calls are in flight, and always uncorks when the turn's phase ends, exceptions included. Without a socket it does nothing.
/// (Measured in docs/benchmarks.md.)
class turn_cork final : private turn_end_listener {
 public:
  turn_cork(loop& on, cork_params rule) : loop_(on), rule_(rule), tap_(socket_tap::create()) {}
  ~turn_cork() override { uncork(); }

  socket_tap& tap() noexcept { return *tap_; }

  /// A call is about to be started on the connection, which has `in_flight` with it.
  void before_start(std::uint32_t in_flight) noexcept {
    if (in_flight < rule_.min_in_flight) return;
    if (!loop_.at_turn_end(*this)) return;
    if (++starts_ < 2) return;
    if (!corked_) {
      cork();
    } else if (++since_flush_ >= rule_.flush_every) {
      uncork();
      cork();
    }
  }

  bool corked() const noexcept { return corked_; }

  /// Times a cork was set since the start.
  std::uint64_t corks() const noexcept { return corks_; }

  /// The longest a cork was left on.
  duration longest() const noexcept { return longest_; }

 private:
  void on_turn_end() noexcept override {
    uncork();
    starts_ = 0;
  }
  void cork() noexcept;
  void uncork() noexcept;
  bool set(int value) noexcept;

  loop& loop_;
  cork_params const rule_;
  std::shared_ptr<socket_tap> tap_;
  bool corked_ = false;
  std::uint32_t starts_ = 0;
  std::uint32_t since_flush_ = 0;
  std::uint64_t corks_ = 0;
  int descriptor_ = -1;
  time_point since_{};
  duration longest_{};
};

}  // namespace millrace
