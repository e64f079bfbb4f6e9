// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/hash_key.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/intercept/chain_ref.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

class observer;

/// What became of a call, beside its result.
struct call_info {
  call_end origin = call_end::attempt;  ///< Who decided the outcome.
  std::uint32_t attempts = 0;           ///< Started; 0 when it never got a slot.
  std::string endpoint;                 ///< Of the last attempt.
  std::optional<std::uint32_t> slot{};  ///< Of the last attempt.
  duration elapsed{};
};

/// How one call differs from its client's defaults.
struct call_options {
  /// From the call's start to its handler, waiting and retries included. 0: the client's default_timeout.
  duration timeout{};

  /// Wait for an endpoint even while all of them fail, until the deadline. Without it such a call ends with UNAVAILABLE, as in
  /// gRPC (doc/wait-for-ready.md); it always waits while a connection is being made.
  bool wait_for_ready = false;

  /// What the pool's policy sends to one endpoint, if it is one that hashes (`ring_hash`, `maglev`). A text such as a user's name;
  /// an empty one is no key.
  millrace::hash_key hash_key{};

  /// Sent with every attempt. Keys are lower case and not gRPC's own; an illegal pair ends the call with INVALID_ARGUMENT.
  std::vector<std::pair<std::string, std::string>> metadata{};

  /// Filled in before the handler runs; outlives the call.
  call_info* info = nullptr;
};

/// What the calls of one client have in common.
struct client_params {
  /// A deadline is always set: a call without a timeout of its own gets this one. More than 0.
  duration default_timeout = std::chrono::seconds(15);

  retry::retry_policy retry{};

  /// A chain or static_chain, which outlives the client's calls. `chain_ref{}`: none.
  chain_ref interceptors{};

  /// Told of calls, attempts and retries. Null: the pool's observer.
  millrace::observer* observer = nullptr;
};

}  // namespace millrace
