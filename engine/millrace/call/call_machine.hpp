// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/hedge_skip.hpp>
#include <millrace/base/inplace_vector.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/retry_denial.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/retry/attempt_machine.hpp>
#include <millrace/time/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

namespace millrace {

/// Where a call stands.
enum class call_state : std::uint8_t {
  fresh,        ///< Not started.
  starting,     ///< Its interceptors' on_start runs or is held.
  queued,       ///< It wants a slot.
  attempting,   ///< An attempt is in flight, or several (hedging).
  backing_off,  ///< It waits before the next attempt.
  ending,       ///< Its outcome is known; the interceptors see it.
  ended,        ///< Terminal.
};

/// Why a call ended, when it is not its last attempt's doing.
enum class call_end : std::uint8_t {
  attempt,       ///< As the last attempt ended.
  intercepted,   ///< An interceptor finished it.
  not_admitted,  ///< The pool gave it no slot.
  deadline,      ///< Its time was up.
  cancelled,     ///< Its caller cancelled it.
  revoked,       ///< Its pool or loop ended, or the pool let go of its endpoint.
  malformed,     ///< The engine could not send the request or read the response: illegal metadata, or not a message.
};

/// For how long a call waits for attempts that were cut off, by its end or by their own time. Mostly they are back at once, and one may have made it before
/// the cut; but gRPC gives none back before what it has begun to write is written, which a peer that reads nothing puts off for ever.
inline constexpr duration cut_grace = std::chrono::milliseconds(10);

/// How far a cancellation may go, as Asio's cancellation types are ordered.
enum class cancel_depth : std::uint8_t {
  total,     ///< Only if the server cannot have seen anything.
  partial,   ///< No further attempts.
  terminal,  ///< Cut off the attempt in flight.
};

namespace call_event {

struct start {};
struct start_passed {};  ///< on_start is over on every interceptor.
struct start_finished {  ///< One of them ended the call, or there is nothing that could be sent.
  call_end why = call_end::intercepted;
};
struct admitted {};  ///< The permit is held: that of the call, or of a hedge while it is attempting.
struct refused {
  bool
      may_retry;  ///< Every endpoint fails just now; otherwise the pool is closed or its queue full. Of a hedge: there is no room.
};
struct attempt_done {
  status_code code;
  bool committed = false;
  bool never_left = false;
  bool cut_off = false;  ///< By per_attempt_timeout, or with its endpoint while others were in flight: worth another.
  bool evicted = false;  ///< The latter: no failure of the server's.
  metadata_view const* trailers = nullptr;  ///< Valid during the step; null: none.
};
struct elapsed {};  ///< The backoff, the time until the next hedge, or that for what was cut off to come back.
struct deadline {};
struct cancel {
  cancel_depth depth;
};
struct revoke {};
struct ended {};  ///< The last interceptor has seen the outcome.

}  // namespace call_event

struct call_event_at {
  time_point now;
  std::variant<call_event::start, call_event::start_passed, call_event::start_finished, call_event::admitted,
               call_event::refused, call_event::attempt_done, call_event::elapsed, call_event::deadline,
               call_event::cancel, call_event::revoke, call_event::ended>
      what;
};

namespace hedge_action {

struct arm {  ///< One is due then; answered by elapsed, unless the call stops attempting before.
  time_point at;
};
struct admit {};  ///< Ask the pool for a permit at once; answered by admitted or refused.
struct start {};  ///< Another attempt beside those in flight; answered by attempt_done, always.
struct drop {};   ///< It came too late: give the permit back.
struct skip {     ///< Tell the observer.
  hedge_skip why;
};

}  // namespace hedge_action

namespace call_action {

struct run_start {};   ///< Run on_start; answered by start_passed or start_finished.
struct abandon_hold {  ///< The interceptor that holds the call is not waited for.
  bool ending;         ///< It holds an outcome: go on to on_done, or past it.
};
struct queue {};  ///< Ask the pool; answered by admitted or refused.
struct leave_queue {
  call_end why;
};
struct start_attempt {};  ///< Answered by attempt_done, always.
struct hedge {
  std::variant<hedge_action::arm, hedge_action::admit, hedge_action::start, hedge_action::drop, hedge_action::skip>
      what;
};
/// All that are in flight; answered by attempt_done, or by elapsed when none is back by then.
struct cancel_attempts {
  time_point until;
};
struct wait {  ///< Before the next attempt.
  time_point until;
  bool transparent;
};
struct stop_waiting {};
/// The outcome is known: let the interceptors see it; answered by ended. No attempt in flight is waited for.
struct end {
  call_end why;
  std::optional<retry_denial> no_retry = std::nullopt;  ///< Why there is no further attempt, for the observer.
};
struct complete {};  ///< Call the handler.

}  // namespace call_action

// eleven, like the events: beyond that g++ visits through a table of functions, which shows in the cost of a call
using call_action_any =
    std::variant<call_action::run_start, call_action::abandon_hold, call_action::queue, call_action::leave_queue,
                 call_action::start_attempt, call_action::hedge, call_action::cancel_attempts, call_action::wait,
                 call_action::stop_waiting, call_action::end, call_action::complete>;
using call_actions = inplace_vector<call_action_any, 2>;

/// Leads one call from its start to its handler: interceptors, slot, attempts with gRFC A6 retries or hedges, outcome. Ends
/// exactly once whatever arrives in whatever order; an event that means nothing where the call stands has no effect.
///
/// | cancellation | fresh, starting, queued before the first attempt | queued again, backing off | attempting           | ending, held  |
/// |--------------|--------------------------------------------------|---------------------------|----------------------|---------------|
/// | total        | ends                                             | no effect                 | no effect            | no effect     |
/// | partial      | ends                                             | ends                      | no further attempts  | ends the hold |
/// | terminal     | ends                                             | ends                      | cuts the attempt off | ends the hold |
///
/// A hedged call (`hedge_by`) goes on like this while it is attempting:
///
/// | event                                 | others in flight | does                                                       |
/// |---------------------------------------|------------------|------------------------------------------------------------|
/// | an attempt starts                     | any              | the next hedge is due a delay later, if any is left        |
/// | a hedge is due                        | any              | if throttle, budget and extra load allow it, asks for room |
/// | it is admitted                        | any              | it is paid for and starts                                  |
/// | it is not allowed, or there is no room| any              | it is skipped for good; the next is due a delay later      |
/// | an attempt succeeds                   | any              | ends, with that                                            |
/// | it fails fatally, or is committed     | any              | ends, with that                                            |
/// | it fails otherwise, or never left     | some             | the next hedge is due at once, or after the pushback       |
/// | it fails, with a pushback below 0     | some             | no more hedges; the others are waited for                  |
/// | it fails                              | none             | as any call, by the `sequential` policy                    |
class call_machine {
 public:
  /// `deadline` is the call's. Expects a validated policy.
  call_machine(retry::retry_policy const& policy, retry::budget& budget, rng& random, time_point deadline,
               retry::throttle* of_server = nullptr) noexcept
      : retry_(policy, budget, random, deadline, of_server) {}

  /// The call is hedged: by `sequential` in place of its retry policy, with a hedge `delay` after each attempt if there is one,
  /// within `extra_load`. Both outlive the machine. Before the start only.
  void hedge_by(retry::retry_policy const& sequential, std::optional<duration> delay,
                retry::budget& extra_load) noexcept;

  call_actions step(call_event_at const& event) noexcept;

  /// The call's deadline is earlier than the constructor was told; no retry is made that would miss it.
  void shorten_deadline(time_point at) noexcept { retry_.shorten_deadline(at); }

  call_state state() const noexcept { return state_; }
  bool ended() const noexcept { return state_ == call_state::ended; }
  /// It waits for attempts that were cut off, or has ended so.
  bool broken_off() const noexcept { return broken_off_.has_value(); }

  /// Attempts started.
  std::uint32_t attempts() const noexcept { return attempts_; }

  /// Of the attempt that starts now, as it tells the server.
  unsigned previous_attempts() const noexcept { return retry_.previous_attempts() + in_flight_ - 1; }

  retry::retry_policy const& policy() const noexcept { return retry_.policy(); }

 private:
  call_actions on(time_point now, call_event::start) noexcept;
  call_actions on(time_point now, call_event::start_passed) noexcept;
  call_actions on(time_point now, call_event::start_finished event) noexcept;
  call_actions on(time_point now, call_event::admitted) noexcept;
  call_actions on(time_point now, call_event::refused event) noexcept;
  call_actions on(time_point now, call_event::attempt_done const& event) noexcept;
  call_actions on(time_point now, call_event::elapsed) noexcept;
  call_actions on(time_point now, call_event::deadline) noexcept;
  call_actions on(time_point now, call_event::cancel event) noexcept;
  call_actions on(time_point now, call_event::revoke) noexcept;
  call_actions on(time_point now, call_event::ended) noexcept;

  void enter(call_state next) noexcept { state_ = next; }
  call_actions break_off(time_point now, call_end why) noexcept;
  call_actions after_attempt(time_point now, call_event::attempt_done const& event) noexcept;
  call_actions after_failure(retry::attempt_outcome const& outcome, call_end otherwise) noexcept;
  call_actions after_failure_beside(retry::attempt_outcome const& outcome) noexcept;
  bool may_hedge() const noexcept;
  void plan_hedge(time_point at, call_actions& actions) noexcept;
  call_actions admit_hedge(time_point now) noexcept;
  call_actions start_hedge(time_point now) noexcept;
  call_actions skip_hedge(time_point now, hedge_skip why) noexcept;
  void end(call_end why, call_actions& actions) noexcept;

  retry::attempt_machine retry_;
  call_state state_ = call_state::fresh;
  std::uint8_t in_flight_ = 0;
  std::uint8_t hedges_skipped_ = 0;
  std::uint32_t attempts_ = 0;
  time_point started_{};
  retry::budget* extra_load_ = nullptr;  // null: not hedged
  duration hedge_delay_{};
  std::optional<call_end> broken_off_;  // why the attempt in flight was cut off
};

}  // namespace millrace
