// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/metadata_view.hpp>
#include <millrace/base/retry_denial.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/retry/backoff.hpp>
#include <millrace/time/clock.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <variant>

namespace millrace::retry {

class budget;
class throttle;
struct retry_policy;

/// How an attempt failed.
struct attempt_outcome {
  time_point at;
  status_code code;                                         ///< Never ok: a call that succeeded needs no decision.
  bool committed = false;                                   ///< Its response headers had arrived.
  bool never_left = false;                                  ///< It provably did not reach the wire.
  std::optional<std::string_view> pushback = std::nullopt;  ///< The raw value of its `grpc-retry-pushback-ms` trailer.
  bool timed_out = false;                                   ///< By the policy's `per_attempt_timeout`; or evicted.
  bool evicted = false;      ///< Its endpoint was taken away: no failure of the server's.
  metadata_view trailers{};  ///< For the policy's rule, as is `elapsed`.
  duration elapsed{};        ///< Since the call began.
};

/// Start another attempt at that time. It is transparent when the last one never left.
struct retry_at {
  time_point at;
  bool transparent;
};

using attempt_action = std::variant<retry_at, retry_denial>;

/// What becomes of a call after each failed attempt (gRFC A6). The first rule that applies decides:
///
/// | # | the attempt                                                             | answer          |
/// |---|-------------------------------------------------------------------------|-----------------|
/// | 1 | belongs to a call that was cancelled, or was denied before              | that denial     |
/// | 2 | is committed                                                            | `committed`     |
/// | 3 | never left, and `most_transparent` others of its call did not           | `attempts`      |
/// | 4 | never left                                                              | go on with 9    |
/// | 5 | ended with a code that the policy does not list, whatever the pushback, | `not_retryable` |
/// |   | and not because its own time was up; or the policy's rule says stop     |                 |
/// | 6 | was the last of the policy's `max_attempts`                             | `attempts`      |
/// | 7 | came with a pushback that is negative or not a number; not with a rule  | `pushback`      |
/// | 8 | finds its server throttled, unless it never left                        | `budget`        |
/// | 9 | would be followed by one at or after the deadline                       | `deadline`      |
/// |10 | finds the budget empty                                                  | `budget`        |
/// |11 | is any other: a retry, now paid for                                     | `retry_at`      |
///
/// The first attempt that never left is repeated at once. Any other retry waits for what the policy's rule says, or for the
/// pushback, which also resets the backoff, or else for the backoff's next step, which both kinds of retry share.
class attempt_machine {
 public:
  /// Transparent retries a call may have: a bound on what gRPC leaves unbounded.
  static constexpr unsigned most_transparent = 10;

  /// Expects a validated policy. `deadline` is the call's, `never` if it has none. `of_server` is told of failures that a retry
  /// could mend; its successes are the caller's to tell. Null: no throttling.
  attempt_machine(retry_policy const& policy, budget& budget, rng& random, time_point deadline,
                  throttle* of_server = nullptr) noexcept;

  /// An attempt ended. The deposit in the budget, one a call, is the caller's.
  attempt_action resume(attempt_outcome const& outcome) noexcept;

  /// An attempt ended while others of its call are in flight (hedging). `committed` and `not_retryable` end the call; any other
  /// denial means that no further attempt joins the others; `retry_at` that one may, from then on, if it is paid for
  /// (`affords`, `pay`): the rules 2, 3, 5, 1, 7 and, after a pushback, 9 above, in that order, without a backoff.
  attempt_action resume_beside(attempt_outcome const& outcome) noexcept;

  /// Whether throttle and budget would have another attempt beside those in flight.
  bool affords(time_point now) noexcept;

  /// That attempt is made. Only after `affords`, at the same time.
  void pay(time_point now) noexcept;

  /// Goes by another policy, which outlives the machine. Before the first attempt only.
  void follow(retry_policy const& other) noexcept;

  retry_policy const& policy() const noexcept { return *policy_; }
  time_point deadline() const noexcept { return deadline_; }

  /// No further attempt is made, whatever happens.
  bool denied() const noexcept { return denied_.has_value(); }

  /// Brings the call's deadline forward.
  void shorten_deadline(time_point at) noexcept { deadline_ = std::min(deadline_, at); }

  /// No further attempts: whatever is in flight ends with `retry_denial::cancelled`.
  void cancel() noexcept { denied_ = retry_denial::cancelled; }

  /// Attempts that ended and count for the policy: all but those that never left.
  unsigned attempts() const noexcept { return attempts_; }

  /// The value of `grpc-previous-rpc-attempts` in the next attempt; at 0 the header is not sent.
  unsigned previous_attempts() const noexcept { return attempts_; }

 private:
  bool count(attempt_outcome const& outcome) noexcept;
  void tell_throttle(attempt_outcome const& outcome) noexcept;
  bool worth_another(attempt_outcome const& outcome) const noexcept;
  std::optional<duration> ask_rule(attempt_outcome const& outcome) const noexcept;
  attempt_action after_unsent(attempt_outcome const& outcome) noexcept;
  attempt_action after_sent(attempt_outcome const& outcome) noexcept;
  std::optional<duration> wait(std::optional<std::string_view> pushback) noexcept;
  attempt_action schedule(time_point now, time_point at, bool transparent) noexcept;
  retry_denial deny(retry_denial why) noexcept;

  retry_policy const* policy_;
  budget& budget_;
  rng& random_;
  time_point deadline_;
  throttle* throttle_;
  backoff backoff_;
  unsigned attempts_ = 0;
  unsigned transparent_ = 0;
  std::optional<retry_denial> denied_;
};

}  // namespace millrace::retry
