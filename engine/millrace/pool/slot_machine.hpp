// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/connectivity.hpp>
#include <millrace/base/inplace_vector.hpp>
#include <millrace/retry/backoff.hpp>
#include <millrace/time/clock.hpp>

#include <optional>
#include <string_view>
#include <variant>

namespace millrace {

/// How a slot keeps its connection.
struct slot_params {
  /// Between failed dials.
  retry::backoff_params backoff{};
  /// A dial that has not connected by then has failed.
  duration dial_timeout = std::chrono::seconds(20);
  /// A connection that lived this long, or carried a call that succeeded, makes the next dial immediate.
  duration proven_after = std::chrono::seconds(10);
  /// A connectivity watch is renewed after this long, while not ready and while ready. Closing a channel ends its watch at
  /// once, so the slices only bound what a watch that gRPC forgot could hold up; long ones let an idle process sleep.
  duration watch_slice = std::chrono::seconds(5);
  duration ready_watch_slice = std::chrono::hours(1);
};

/// What a slot that has failed still has to wait out.
struct slot_redial {
  retry::backoff backoff;
  time_point at;  ///< Not before.
};

namespace slot_event {

/// The pool wants this slot connected, and kept so.
struct open {
  std::optional<slot_redial> after{};  ///< Where another slot of the endpoint left off.
};
struct dial_granted {};  ///< It is this slot's turn: no other dial to its endpoint is in flight.
struct observed {
  connectivity now_is;  ///< Read anew from the channel; never concluded from counting events (trap T7).
};
struct watch_expired {};  ///< A slice passed and nothing changed.
struct elapsed {};        ///< The armed timer fell due.
struct proven {};         ///< A call on this slot succeeded.
struct nudge {};          ///< The endpoint served others, or the user says so: do not wait out the backoff.
struct drain {
  bool in_use;  ///< Calls are in flight on it.
};
struct last_call_done {};  ///< A draining slot has no call in flight any more.
struct drain_elapsed {};   ///< The grace is over.

}  // namespace slot_event

/// What happens to a slot.
struct slot_event_at {
  time_point now;
  std::variant<slot_event::open, slot_event::dial_granted, slot_event::observed, slot_event::watch_expired,
               slot_event::elapsed, slot_event::proven, slot_event::nudge, slot_event::drain,
               slot_event::last_call_done, slot_event::drain_elapsed>
      what;
};

namespace slot_action {

struct request_dial {};  ///< Queue for a turn to dial; answered by dial_granted.
struct release_dial {};  ///< Give the turn, or the place in the queue, back.
struct open_channel {};
struct connect {};  ///< Leave IDLE.
struct watch {
  connectivity last;
  time_point until;
};
struct arm {
  time_point at;
};
struct disarm {};
struct publish {
  slot_state from;
  slot_state to;
  std::string_view why;  ///< A literal.
};
struct close_channel {};

}  // namespace slot_action

using slot_action_any = std::variant<slot_action::request_dial, slot_action::release_dial, slot_action::open_channel,
                                     slot_action::connect, slot_action::watch, slot_action::arm, slot_action::disarm,
                                     slot_action::publish, slot_action::close_channel>;
using slot_actions = inplace_vector<slot_action_any, 6>;

/// Keeps one slot of a pool connected: dials in turn, watches, backs off, redials, drains.
///
/// A redial after a failure opens a fresh channel: gRPC 1.51 reports TRANSIENT_FAILURE once and then nothing until READY, so
/// on the old channel a second failure could not be seen (docs/design/0003-redial-on-a-fresh-channel.md). A connection that is
/// lost keeps its channel, because calls that a GOAWAY let finish still run on it.
class slot_machine {
 public:
  slot_machine(slot_params const& params, rng& random) noexcept;

  /// Never calls out; the driver performs the actions in order. In `closed` nothing has an effect.
  slot_actions step(slot_event_at const& event) noexcept;

  slot_state state() const noexcept { return state_; }

  /// The present connection has carried a call that succeeded.
  bool proven() const noexcept { return proven_; }

  /// What another slot in its place would have to wait out; none while nothing has failed since a connection was proven.
  std::optional<slot_redial> redial() const noexcept;

 private:
  slot_actions on(time_point now, slot_event::open event) noexcept;
  slot_actions on(time_point now, slot_event::dial_granted) noexcept;
  slot_actions on(time_point now, slot_event::observed) noexcept;
  slot_actions on(time_point now, slot_event::watch_expired) noexcept;
  slot_actions on(time_point now, slot_event::elapsed) noexcept;
  slot_actions on(time_point now, slot_event::proven) noexcept;
  slot_actions on(time_point now, slot_event::nudge) noexcept;
  slot_actions on(time_point now, slot_event::drain) noexcept;
  slot_actions on(time_point now, slot_event::last_call_done) noexcept;
  slot_actions on(time_point now, slot_event::drain_elapsed) noexcept;

  void enter(slot_state next, std::string_view why, slot_actions& actions) noexcept;
  void queue_for_dial(std::string_view why, slot_actions& actions) noexcept;
  void fail(time_point now, std::string_view why, slot_actions& actions) noexcept;
  void close(std::string_view why, slot_actions& actions) noexcept;
  slot_actions connected(time_point now) noexcept;
  slot_actions dialing_on(time_point now) noexcept;
  slot_actions lost(time_point now, connectivity seen) noexcept;
  slot_action::watch watch(time_point now) noexcept;

  slot_params const& params_;
  rng& random_;
  retry::backoff backoff_;
  slot_state state_ = slot_state::vacant;
  connectivity seen_ = connectivity::idle;  // the channel's last known connectivity
  bool has_channel_ = false;
  bool dials_on_ = false;  // it drains, and its channel is still dialing: the turn is kept until that is over
  bool proven_ = false;
  time_point ready_since_{};
  time_point redial_at_{};  // when the last backoff is over
};

}  // namespace millrace
