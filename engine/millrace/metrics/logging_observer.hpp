// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/line_sink.hpp>
#include <millrace/metrics/observer.hpp>

#include <cstdint>
#include <optional>

namespace millrace {

/// How much a logging_observer writes.
enum class log_verbosity : std::uint8_t {
  connections,  ///< Slot changes, drains and denied retries: little, however many calls there are.
  everything,   ///< Also every call, attempt, pick and retry.
};

struct logging_params {
  line_sink sink = write_to_stderr;
  log_verbosity verbosity = log_verbosity::connections;
  std::optional<time_point> start{};  ///< What lines call 0.000; without one, the time of the first event.
};

/// Writes events as lines for people: `[  3.012] 127.0.0.1:5003 slot 2: ready -> idle: connection lost`. The number is the
/// seconds since the start.
class logging_observer final : public observer {
 public:
  /// Throws `std::invalid_argument` when `params.sink` is empty.
  explicit logging_observer(logging_params params = {});

  void on(events::slot_changed const& event) noexcept override;
  void on(events::endpoints_changed const& event) noexcept override;
  void on(events::resolve_failed const& event) noexcept override;
  void on(events::health_changed const& event) noexcept override;
  void on(events::ejection_spared const& event) noexcept override;
  void on(events::panic_changed const& event) noexcept override;
  void on(events::priority_changed const& event) noexcept override;
  void on(events::endpoint_chosen const& event) noexcept override;
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
  bool everything() const noexcept { return params_.verbosity == log_verbosity::everything; }

  logging_params params_;
};

}  // namespace millrace
