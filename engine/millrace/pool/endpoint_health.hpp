// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/health/failure_accrual.hpp>
#include <millrace/health/verdict.hpp>
#include <millrace/pool/health_check.hpp>
#include <millrace/time/timer.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace millrace {

class loop;
class endpoint_health;

/// What a pool wants to know about one endpoint's health.
struct health_params {
  std::optional<health::accrual_params> accrual{};
  std::optional<health::watch_params> check{};
  bool outlier = false;

  bool any() const noexcept { return accrual || check || outlier; }
};

/// What is known about one endpoint's health: by its own calls, by its health service, and by comparison with others.
class endpoint_health {
 public:
  /// Told when the verdict has changed, or whether there is room, or an endpoint was asked for the first time.
  using listener = bound<void(endpoint_health&)>;

  /// `number` is the endpoint's. The params and the budget, which questions are charged to, outlive it.
  endpoint_health(loop& on, health_params const& params, std::uint32_t number, retry::budget& charged, listener tell);
  endpoint_health(endpoint_health const&) = delete;
  endpoint_health& operator=(endpoint_health const&) = delete;

  std::uint32_t endpoint_number() const noexcept { return number_; }
  health::verdict const& verdict() const noexcept { return verdict_; }

  /// What was told last is that the verdict changed; its severity before.
  bool changed() const noexcept { return changed_; }
  health::severity was() const noexcept { return was_; }

  /// It is connected, and has not said yet whether it serves: not even in a panic does a call go there (gRFC A17).
  bool pending() const noexcept { return pending_; }

  /// Calls may go there; while it is probed, one at a time.
  bool usable() const noexcept { return !pending_ && verdict_.severity() != health::severity::unhealthy; }
  bool has_room() const noexcept { return verdict_.severity() != health::severity::probing || !trial_out_; }

  /// A call was sent there. While the endpoint is probed it is the trial, and keeps others out until the server says anything or
  /// `base_ejection` is over: it may be a stream that goes on for hours.
  void on_picked() noexcept {
    if (verdict_.severity() == health::severity::probing) [[unlikely]]
      begin_trial();
  }

  /// The server said something of a call that is not over. True when there is room again.
  bool on_received() noexcept { return std::exchange(trial_out_, false); }

  /// A call came back. What its caller cancelled says nothing.
  void on_done(status_code code, bool failed);

  /// The connection to ask on; null: there is none.
  void ask_on(channel* one);

  /// What the comparison with the others says.
  void set_outlier(bool ejected, std::string_view why) {
    say(health::health_reason::outlier, severity_of(ejected), why);
  }

 private:
  static health::severity severity_of(bool bad) noexcept {
    return bad ? health::severity::unhealthy : health::severity::healthy;
  }
  void say(health::health_reason by, health::severity what, std::string_view why, bool in_any_case = false);
  void tell(bool changed);
  void begin_trial() noexcept;
  void on_accrual_due();
  void publish_accrual();
  void on_server_health(health::server_health what, std::string_view why);

  loop& loop_;
  std::uint32_t const number_;
  listener tell_;
  health::verdict verdict_;
  health::severity was_ = health::severity::healthy;
  bool changed_ = false;
  bool pending_ = false;
  bool trial_out_ = false;  // and has not been heard of
  duration trial_timeout_{};
  std::optional<health::failure_accrual> accrual_;
  timer accrual_due_{bound<void()>::to<&endpoint_health::on_accrual_due>(*this)};
  std::optional<health_check> check_;
  channel* asked_ = nullptr;
};

}  // namespace millrace
