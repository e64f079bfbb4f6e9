// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/hedger.hpp>

#include <algorithm>

namespace millrace {

hedger::hedger(retry::hedging_policy const& policy, retry::retry_policy const& replaced)
    : policy_(policy),
      sequential_(retry::sequential(policy, replaced)),
      extra_load_({.percent = policy.max_extra_load, .min_per_second = policy.min_per_second}),
      latency_(policy.window),
      delay_(policy.delay) {}

std::optional<duration> hedger::delay(time_point now) noexcept {
  if (policy_.delay || (delay_ && now < refresh_at_)) return delay_;
  refresh_at_ = saturating_add(now, policy_.refresh_interval);
  delay_.reset();
  if (latency_.count(now) >= policy_.min_data_points) {
    delay_ = std::max(latency_.percentile(now, policy_.percentile), policy_.min_delay);
  }
  return delay_;
}

}  // namespace millrace
