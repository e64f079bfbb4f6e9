// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/recent_latency.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/hedging.hpp>

#include <optional>

namespace millrace {

/// What the hedged calls of one method, or of all that have no number and the same settings, have in common: how long they lately took, and what their hedges may add to the load.
class hedger {
 public:
  /// Expects a validated policy; `replaced` is the retry policy that these calls would have without it.
  hedger(retry::hedging_policy const& policy, retry::retry_policy const& replaced);

  /// A call begins.
  void on_call(time_point now) noexcept { extra_load_.deposit(now); }

  /// A first attempt was answered, or cut off because a hedge was faster: it took that long, at least. Those that were cut off
  /// otherwise say nothing of the server.
  void record(time_point now, duration latency) noexcept {
    if (!policy_.delay) latency_.record(now, latency);
  }

  /// From one attempt to the next; none while too little is known.
  std::optional<duration> delay(time_point now) noexcept;

  /// For attempts that fail while no other is in flight.
  retry::retry_policy const& sequential() const noexcept { return sequential_; }
  retry::budget& extra_load() noexcept { return extra_load_; }

 private:
  retry::hedging_policy const policy_;
  retry::retry_policy const sequential_;
  retry::budget extra_load_;
  recent_latency latency_;
  time_point refresh_at_{};
  std::optional<duration> delay_;
};

}  // namespace millrace
