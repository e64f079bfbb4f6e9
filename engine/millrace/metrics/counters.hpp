// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/observer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace millrace {

/// Counts all it is told, by endpoint, method and code. Counting allocates only where a name is new.
///
/// Thread: the loop's, reading included. The counts of several loops are several objects.
class counters final : public observer {
 public:
  using count = std::uint64_t;
  using by_code = std::array<count, status_code_count>;
  static constexpr std::size_t slot_states = static_cast<std::size_t>(slot_state::closed) + 1;
  static constexpr std::size_t retry_denials = static_cast<std::size_t>(retry_denial::cancelled) + 1;
  static constexpr std::size_t hedge_skips = static_cast<std::size_t>(hedge_skip::extra_load) + 1;

  /// What one endpoint was seen to do. A connection is opened when a slot becomes ready, and lost when a ready slot becomes
  /// anything but draining or closed.
  struct endpoint_counts {
    count picks = 0;
    count attempts = 0;  ///< Started.
    by_code finished{};  ///< Attempts ended, by code.
    count dials = 0;
    count connections_opened = 0;
    count connections_lost = 0;
    count ejections = 0;                     ///< Times it was found unhealthy.
    count replacements = 0;                  ///< Connections that another one was made for while they still worked.
    count too_many_pings = 0;                ///< Times it closed connections because of pings.
    std::array<count, slot_states> slots{};  ///< Now, by slot_state; `vacant` and `closed` are not kept.

    count ok() const noexcept { return finished[0]; }
  };

  struct method_counts {
    count calls = 0;  ///< Started.
    by_code finished{};
    count retries = 0;  ///< Without the transparent ones.
    count transparent_retries = 0;
    count hedges = 0;      ///< Sent.
    count hedge_wins = 0;  ///< Calls that ended well with a hedge's answer.
    duration latency{};    ///< The sum over the calls ended.
  };

  struct totals {
    count attempts = 0;
    count retries = 0;
    count transparent_retries = 0;
    count hedges = 0;
    count hedge_wins = 0;
    count pick_failures = 0;
    count endpoint_changes = 0;  ///< Of the set.
    count resolve_failures = 0;
    count panics = 0;
    count drains_started = 0;
    count drains_finished = 0;
    count calls_revoked = 0;
    std::array<count, retry_denials> denied{};
    std::array<count, hedge_skips> skipped{};

    count retry_denied(retry_denial why) const noexcept { return denied[static_cast<std::size_t>(why)]; }
    count hedges_skipped(hedge_skip why) const noexcept { return skipped[static_cast<std::size_t>(why)]; }
  };

  counters() = default;
  counters(counters const&) = delete;
  counters& operator=(counters const&) = delete;

  template <class Counts>
  using by_name = std::map<std::string, Counts, std::less<>>;

  totals const& total() const noexcept { return totals_; }
  by_name<endpoint_counts> const& endpoints() const noexcept { return endpoints_; }
  by_name<method_counts> const& methods() const noexcept { return methods_; }

  /// Of one endpoint; all zero when it was never heard of.
  endpoint_counts const& endpoint(std::string_view name) const noexcept;

  /// All of it in Prometheus' text format 0.0.4 (`Content-Type: text/plain; version=0.0.4`); names begin with `millrace_`.
  std::string prometheus_text() const;

  using observer::on;
  void on(events::slot_changed const& event) noexcept override;
  void on(events::endpoints_changed const& event) noexcept override;
  void on(events::resolve_failed const& event) noexcept override;
  void on(events::health_changed const& event) noexcept override;
  void on(events::panic_changed const& event) noexcept override;
  void on(events::too_many_pings const& event) noexcept override;
  void on(events::slot_replaced const& event) noexcept override;
  void on(events::picked const& event) noexcept override;
  void on(events::pick_failed const& event) noexcept override;
  void on(events::call_started const& event) noexcept override;
  void on(events::call_finished const& event) noexcept override;
  void on(events::attempt_started const& event) noexcept override;
  void on(events::attempt_finished const& event) noexcept override;
  void on(events::retry_scheduled const& event) noexcept override;
  void on(events::retry_denied const& event) noexcept override;
  void on(events::hedge_skipped const& event) noexcept override;
  void on(events::drain_started const& event) noexcept override;
  void on(events::drain_finished const& event) noexcept override;

 private:
  endpoint_counts& of_endpoint(std::string_view name);
  method_counts& of_method(std::string_view name);

  by_name<endpoint_counts> endpoints_;
  by_name<method_counts> methods_;
  // the one counted last: the events of one call come together, and most programs call few methods
  by_name<endpoint_counts>::value_type* last_endpoint_ = nullptr;
  by_name<method_counts>::value_type* last_method_ = nullptr;
  by_name<count> pick_failures_;  // by reason
  totals totals_;
};

}  // namespace millrace
