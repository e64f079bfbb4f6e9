// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/connectivity.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/pool/outside_calls.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace millrace {

class channel;
struct endpoint;

/// A slot, as told to those who make calls outside of the pool's loop.
struct published_slot {
  std::uint32_t number;
  std::uint32_t endpoint;
  std::shared_ptr<millrace::endpoint const> is;  ///< The endpoint.
  double weight;
  std::uint64_t endpoint_hash;
  std::uint64_t pool_weight;
  duration min_keepalive_time;
  /// As calls have to take it: ready only if they may go there. One that is connected, but must not be used, is told as
  /// backing off when its endpoint is unhealthy, as connecting while that is asked, and else as idle.
  slot_state state;
  bool connected;              ///< Whatever the state.
  bool probing;                ///< Its endpoint takes one call at a time.
  millrace::channel* channel;  ///< Null while it has none.
  std::shared_ptr<outside_calls> calls;
};

/// How such a call ended.
struct outside_outcome {
  std::uint32_t slot;          ///< Its number, which may be another slot's by now.
  outside_calls const* calls;  ///< Whose it is, to tell; the slot may be gone.
  status_code code;
  duration latency;
};

/// What such calls have found since the pool asked last.
enum class outside_wish {
  none,
  look,  ///< A slot carries more than `grow_at`: look whether its endpoint is crowded.
  room,  ///< Every ready slot was full.
};

/// Where a pool tells which slots it has, for calls that are made from any thread, and hears how those went.
///
/// Thread: the pool's.
class slot_publication {
 public:
  virtual ~slot_publication() = default;

  /// The pool's slots from now on. `why_not_ready` is empty while one is ready.
  virtual void publish(std::span<published_slot const> slots, std::string why_not_ready) = 0;

  /// What ended since the last time, in order.
  virtual std::vector<outside_outcome> take_outcomes() = 0;

  virtual outside_wish take_wish() noexcept = 0;

  /// From now on the end of each call is told at once, because somebody waits for room or for the last one.
  virtual void tell_each(bool on) noexcept = 0;

  /// Calls in flight on all slots, also on those that are gone. Any thread.
  virtual std::uint32_t in_flight() const noexcept = 0;

  /// The pool takes no new calls.
  virtual void close() noexcept = 0;

  /// The pool goes: it is told nothing any more.
  virtual void detach() noexcept = 0;
};

}  // namespace millrace
