// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string_view>

namespace millrace {
class rng;
}

namespace millrace::health {

/// When an endpoint is taken for dead by its own calls (Finagle's FailureAccrual, and its defaults).
struct accrual_params {
  /// Failures in a row; 0 is off.
  std::uint32_t consecutive_failures = 5;
  /// The share of calls that must succeed, each weighted by its age; 0 to 1, 0 is off.
  double success_rate = 0.8;
  /// In what time a call weighs a factor e less; at least 1 ms. An endpoint that stayed alive so long is ejected for a step less.
  duration window = std::chrono::seconds(30);
  /// Calls, weighted in the same way, below which the rate does not count; 1 or more.
  std::uint32_t min_volume = 5;
  /// The first ejection; more than 0.
  duration base_ejection = std::chrono::seconds(5);
  /// The longest ejection; at least `base_ejection`.
  duration max_ejection = std::chrono::seconds(300);
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(accrual_params const& params, std::string_view field_prefix);

enum class accrual_state : std::uint8_t {
  alive,    ///< Calls go to it.
  dead,     ///< It is ejected, until a time.
  probing,  ///< One call is let through, to see.
};

constexpr std::string_view to_string(accrual_state value) noexcept {
  switch (value) {
    case accrual_state::alive: return "alive";
    case accrual_state::dead: return "dead";
    case accrual_state::probing: return "probing";
  }
  return "?";
}

/// Ejects one endpoint because its calls fail, whatever the others do.
///
/// The n-th ejection in succession takes `base_ejection`, then twice, four, eight times as long at most and half of that at least, by
/// chance, up to `max_ejection` (Finagle's equalJittered). A success while probing ends the succession not at once but by a step for
/// each `window` that the endpoint stays alive: Finagle, which starts over, brings a server that dies under load back every 5 s.
///
/// What is in flight when the endpoint is ejected no longer counts, until it is probed: then any result is as good as the trial's.
class failure_accrual {
 public:
  /// Expects validated params, which outlive it.
  explicit failure_accrual(accrual_params const& params) noexcept : params_(params) {}

  /// A call came back. True when the state changed.
  bool record(time_point now, bool success, rng& random) noexcept {
    if (state_ != accrual_state::alive) return record_trial(now, success, random);
    if (now >= tick_end_) [[unlikely]]
      age(now);
    all_ += 1;
    if (success) [[likely]] {
      good_ += 1;
      in_a_row_ = 0;
      return false;
    }
    ++in_a_row_;
    return judge(now, random);
  }

  /// Time has passed: to be called at `until`. True when the state changed.
  bool on_elapsed(time_point now) noexcept;

  accrual_state state() const noexcept { return state_; }

  /// When a dead endpoint is to be probed; `never` in the other states.
  time_point until() const noexcept { return state_ == accrual_state::dead ? until_ : never; }

  /// Why it was ejected last; a literal, empty before the first time.
  std::string_view why() const noexcept { return why_; }

 private:
  bool record_trial(time_point now, bool success, rng& random) noexcept;
  void age(time_point now) noexcept;
  bool judge(time_point now, rng& random) noexcept;
  void eject(time_point now, rng& random, std::string_view why) noexcept;
  void revive(time_point now) noexcept;
  duration ejection_time(rng& random) const noexcept;

  accrual_params const& params_;
  accrual_state state_ = accrual_state::alive;
  std::uint32_t in_a_row_ = 0;  // failures
  double all_ = 0;              // calls, weighted by their age
  double good_ = 0;             // those that succeeded
  time_point tick_end_{};       // the weights are brought up to date then: by ticks, to spare each call an exp()
  std::uint32_t ejections_ = 0;
  time_point until_{};
  time_point alive_since_{};
  std::string_view why_;
};

}  // namespace millrace::health
