// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/hash_key.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/intercept/chain_ref.hpp>
#include <millrace/retry/hedging.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/retry/throttle.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

class method_table;
class observer;

/// Metadata that is kept: keys and values in the order they came or are sent.
using metadata_pairs = std::vector<std::pair<std::string, std::string>>;

/// What became of a call, beside its result.
struct call_info {
  call_end origin = call_end::attempt;  ///< Who decided the outcome.
  std::uint32_t attempts = 0;           ///< Started; 0 when it never got a slot.
  std::string endpoint;                 ///< Of the last attempt.
  std::optional<std::uint32_t> slot{};  ///< Of the last attempt.
  std::uint32_t hedges = 0;             ///< Of the attempts.
  bool hedge_won = false;               ///< The outcome is a hedge's.
  duration elapsed{};

  // what the last attempt brought from the server; empty when it brought none

  metadata_pairs initial_metadata{};
  metadata_pairs trailing_metadata{};  ///< Without `grpc-status` and `grpc-message`, which are the call's result.
  std::string peer{};                  ///< The address that the attempt's connection leads to: `ipv4:10.0.0.1:443`.
};

/// How one call differs from its client's defaults.
struct call_options {
  /// From the call's start to its handler, waiting and retries included. 0: its method's, or else the client's default_timeout, or
  /// default_stream_timeout. `duration::max()`: none, which has to be said. A method's timeout (client_params::methods) bounds it.
  duration timeout{};

  /// The call's end at the latest, besides what `timeout` says: that of the work it is a part of (`inbound_deadline`,
  /// call/deadline.hpp). A call that starts at or after it ends with DEADLINE_EXCEEDED and sends nothing.
  time_point deadline = never;

  /// Wait for an endpoint even while all of them fail, until the deadline. Without it such a call ends with UNAVAILABLE, as in
  /// gRPC (doc/wait-for-ready.md); it always waits while a connection is being made. None: as its method's settings say, or else not.
  std::optional<bool> wait_for_ready{};

  /// In place of its method's and the client's policy; a call with one is not hedged. Outlives a unary call, until its handler is
  /// called; streams copy it. One that is not allowed ends the call with INVALID_ARGUMENT. Null: as its method's settings or the client's say.
  retry::retry_policy const* retry = nullptr;

  /// The call may run more than once: where there is a hedging policy, it is hedged. None: as its method's settings or the client's
  /// say.
  std::optional<bool> idempotent{};

  /// What the pool's policy sends to one endpoint, if it is one that hashes (`ring_hash`, `maglev`). A text such as a user's name;
  /// an empty one is no key.
  millrace::hash_key hash_key{};

  /// Sent with every attempt. Keys are lower case and not gRPC's own; an illegal pair ends the call with INVALID_ARGUMENT.
  metadata_pairs metadata{};

  /// Filled in before the handler runs, or a stream's finish; outlives the call until then. A stream whose handle is destroyed on the
  /// loop's thread forgets it; destroyed elsewhere, only when the loop has taken its next turn.
  call_info* info = nullptr;
};

/// What the calls of one client have in common.
struct client_params {
  /// A unary call has a deadline unless it says otherwise: one without a timeout of its own gets this one. More than 0.
  duration default_timeout = std::chrono::seconds(15);

  /// Likewise for streams. 0: none, because a subscription has no end, and `stream_options` has the means to find out that a stream is
  /// stuck.
  duration default_stream_timeout{};

  retry::retry_policy retry{};

  /// Send calls that are declared idempotent once more when their answer is late, and take the first that comes. Such calls then
  /// have no other retries but transparent ones, and ones in place of hedges that were not sent. None: not.
  std::optional<retry::hedging_policy> hedging{};

  /// All calls may run more than once, unless their method's settings or they themselves say otherwise.
  bool idempotent = false;

  /// Settings of single methods, such as a service config's (config/service_config.hpp), which win over those above. Null: none.
  std::shared_ptr<method_table const> methods{};

  /// No retries while the server fails too often (gRFC A6, `retryThrottling`); over all calls of the client. None: only the pool's
  /// budget limits them.
  std::optional<retry::throttle_params> retry_throttling{};

  /// A chain or static_chain, which outlives the client's calls. `chain_ref{}`: none.
  chain_ref interceptors{};

  /// A metadata key. Its first value in a call's metadata, what interceptors added at the start included, is the `hash_key` of a
  /// call that has none (gRFC A76, request_hash_header). Empty: none. Lower case, not gRPC's own, nor one of binary values (`-bin`).
  std::string hash_header{};

  /// Told of calls, attempts and retries. Null: the pool's observer.
  millrace::observer* observer = nullptr;
};

}  // namespace millrace
