// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <load/report.hpp>

#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/observer.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::load {

/// What a run shows of each endpoint besides counts: how long it takes, how fit it is, and why it was not.
class endpoint_watch final : public observer {
 public:
  /// The moving average of an endpoint's latencies, in microseconds; 0 before the first.
  double ewma_us(std::string_view endpoint) const noexcept;

  /// Why it was ejected, each reason with how often.
  std::map<std::string, std::uint64_t> ejection_reasons(std::string_view endpoint) const;

  /// What was counted since the last time, of those of `endpoints` that have a slot or were called.
  std::vector<endpoint_second> next_second(std::vector<std::string> const& endpoints, counters const& counted);

  using observer::on;
  void on(events::health_changed const& event) noexcept override;
  void on(events::attempt_finished const& event) noexcept override;

 private:
  struct seen {
    double average = 0;  // nanoseconds
    time_point averaged_at{};
    std::string severity{};  // empty: never heard of
    std::map<std::string, std::uint64_t> ejected{};
    std::uint64_t attempts_told = 0;
  };

  seen& of(std::string_view endpoint);
  seen const* find(std::string_view endpoint) const noexcept;

  std::map<std::string, seen, std::less<>> endpoints_;
};

}  // namespace millrace::load
