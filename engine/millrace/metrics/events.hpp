// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/connectivity.hpp>
#include <millrace/base/hedge_skip.hpp>
#include <millrace/base/retry_denial.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string_view>

/// What an observer is told. Every view in an event is valid during the hook only; copy what you keep.
namespace millrace::events {

/// A slot went from one state to another. `why` is one sentence; after a failed dial, gRPC's own words.
struct slot_changed {
  time_point at;
  std::string_view endpoint;
  std::uint32_t slot;  ///< Its number in the pool, from 0.
  slot_state from;
  slot_state to;
  std::string_view why;
  duration spent;  ///< How long it was in `from`.
};

/// A pool has another set of endpoints.
struct endpoints_changed {
  time_point at;
  std::uint32_t endpoints;  ///< In the set now.
  std::uint32_t added;
  std::uint32_t removed;
};

/// A resolver could not say what the endpoints are; the last good set stays.
struct resolve_failed {
  time_point at;
  std::string_view why;  ///< One sentence.
};

/// An endpoint has become fit for calls, or unfit, or is unfit for another reason. One that leaves the pool while it is unfit is fit
/// at last. A pool without health checks, accrual and outlier detection tells of none.
struct health_changed {
  time_point at;
  std::string_view endpoint;
  std::string_view from;  ///< `healthy`, `probing`, `unhealthy` … as `to_string(health::severity)` says it.
  std::string_view to;
  std::string_view reason{};  ///< `health_check`, `accrual` or `outlier`; empty when nothing speaks against it.
  std::string_view why;       ///< In that reason's words.
};

/// An endpoint was found to be an outlier, and is let off.
struct ejection_spared {
  time_point at;
  std::string_view endpoint;
  std::string_view found_by;  ///< As `to_string(health::outlier_method)` says it.
  std::string_view why;       ///< `spared_by_limit`: enough others are ejected; `spared_by_enforcement`: by chance.
};

/// A pool that has too few usable endpoints began to use all that are connected, or ended that.
struct panic_changed {
  time_point at;
  bool panicking;
  std::uint32_t usable;
  std::uint32_t endpoints;  ///< That are connected.
};

/// Calls go to endpoints of another priority.
struct priority_changed {
  time_point at;
  std::uint32_t from;
  std::uint32_t to;
};

/// A pool that needs one endpoint (`pick_first`) has found it: calls of that priority go there, and no other is dialed, until this is
/// told again. The same one may be found again.
struct endpoint_chosen {
  time_point at;
  std::string_view endpoint;
  std::uint32_t priority;
  std::uint32_t endpoints;  ///< In the set, of all priorities.
};

/// A server closed a connection because it allows fewer pings than come (GOAWAY, ENHANCE_YOUR_CALM): `keepalive_params::time` is too
/// short for it. From now on new connections to the endpoint are silent for twice as long before they ping; that is forgotten with the
/// endpoint. Told once for all connections that pinged as often. gRPC itself tells nobody, so it is known from the calls that a
/// gRPC server in C++ or a language above it ends with that; docs/guide/connections.md says what stays unseen.
struct too_many_pings {
  time_point at;
  std::string_view endpoint;
  std::uint32_t slot;
  duration keepalive_time;       ///< Of that connection; 0 when the pings were not keepalive's.
  duration next_keepalive_time;  ///< Of those that are made now. It grows no more once it is 2 h.
};

/// A slot is to be replaced by a new connection to its endpoint, which takes over when it is ready.
struct slot_replaced {
  time_point at;
  std::string_view endpoint;
  std::uint32_t slot;
  std::uint32_t by;      ///< The number of the new slot.
  std::string_view why;  ///< A literal.
};

/// A call was given a slot.
struct picked {
  time_point at;
  std::string_view endpoint;
  std::uint32_t slot;
  std::uint32_t in_flight;  ///< Calls on that slot, this one included.
  duration waited;          ///< In the pool's queue; zero when a slot was ready at once.
};

/// A call was given none. `why` names the reason as errc's message does.
struct pick_failed {
  time_point at;
  std::string_view why;
  duration waited;
};

/// A call began; its interceptors have not run yet.
struct call_started {
  time_point at;
  std::string_view method;  ///< `/package.Service/Method`.
};

/// A call ended, as its caller sees it.
struct call_finished {
  time_point at;
  std::string_view method;
  status_code code;
  duration elapsed;
  std::uint32_t attempts;  ///< 0 when none was started.
  bool hedge_won = false;  ///< It succeeded, and the answer is a hedge's.
};

/// One try of a call went out on a slot.
struct attempt_started {
  time_point at;
  std::string_view method;
  std::string_view endpoint;
  std::uint32_t slot;
  std::uint32_t number;  ///< 1 for the first.
  bool hedge = false;    ///< Others of its call are in flight.
};

/// One try of a call ended.
struct attempt_finished {
  time_point at;
  std::string_view method;
  std::string_view endpoint;
  std::uint32_t slot;
  std::uint32_t number;
  status_code code;
  std::string_view message;  ///< The status message.
  duration elapsed;
  bool never_left;  ///< It provably did not reach the wire.
  bool hedge = false;
};

/// The call will try again after `delay`.
struct retry_scheduled {
  time_point at;
  std::string_view method;
  std::uint32_t next_attempt;
  status_code code;  ///< What the last attempt ended with.
  duration delay;
  bool transparent;  ///< The last attempt never left; it does not count against the policy.
};

using millrace::retry_denial;

/// An attempt failed and there will be no further one.
struct retry_denied {
  time_point at;
  std::string_view method;
  std::uint32_t attempts;
  status_code code;
  retry_denial why;
};

using millrace::hedge_skip;

/// A hedge was due and not sent.
struct hedge_skipped {
  time_point at;
  std::string_view method;
  hedge_skip why;
};

/// A pool began to drain.
struct drain_started {
  time_point at;
  std::uint32_t in_flight;
  std::uint32_t waiting;
  duration grace;
};

/// A pool is drained: no call is in flight and every channel is closed.
struct drain_finished {
  time_point at;
  duration elapsed;
  std::uint32_t revoked;  ///< Calls cut off because the grace had passed.
};

}  // namespace millrace::events
