// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/observer.hpp>

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::load {

/// Watches a run: measures how long connections take to come back and, if asked to, tells what happens to them as it happens.
class narrator final : public observer {
 public:
  /// Tells `to`; null: only measures.
  explicit narrator(std::FILE* to) : to_(to) {}

  /// From here the narration counts its seconds.
  void begin(time_point now) noexcept { start_ = now; }

  /// Says `what` if narrating.
  void say(time_point now, std::string_view what) const;

  /// Says how many attempts were retried since the last time, if any.
  void sum_up_retries(time_point now);

  /// For each connection lost and regained, the time between, in the order regained.
  std::vector<duration> const& reconnects() const noexcept { return reconnects_; }

  using observer::on;
  void on(events::endpoints_changed const& event) noexcept override;
  void on(events::resolve_failed const& event) noexcept override;
  void on(events::health_changed const& event) noexcept override;
  void on(events::panic_changed const& event) noexcept override;
  void on(events::priority_changed const& event) noexcept override;
  void on(events::endpoint_chosen const& event) noexcept override;
  void on(events::slot_replaced const& event) noexcept override;
  void on(events::slot_changed const& event) noexcept override;
  void on(events::attempt_finished const& event) noexcept override;
  void on(events::retry_scheduled const& event) noexcept override;
  void on(events::drain_started const& event) noexcept override;

 private:
  void measure(events::slot_changed const& event);
  void tell(events::slot_changed const& event) const;

  std::FILE* const to_;
  time_point start_{};
  std::map<std::uint32_t, time_point> lost_;  // by slot
  std::vector<duration> reconnects_;
  std::map<std::string, std::uint64_t, std::less<>> failures_;  // attempts since the last summary, by endpoint
  std::uint64_t retries_ = 0;
};

}  // namespace millrace::load
