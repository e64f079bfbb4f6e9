// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/failure_accrual.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <cmath>

namespace millrace::health {
namespace {

constexpr int ticks_a_window = 16;

}  // namespace

void validate(accrual_params const& params, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (!(params.success_rate >= 0 && params.success_rate <= 1)) {
    refuse(field_prefix, "success_rate", text(params.success_rate), "0 to 1; 0 is off");
  }
  if (params.window < std::chrono::milliseconds(1)) refuse(field_prefix, "window", text(params.window), "1ms or more");
  if (params.min_volume == 0) refuse(field_prefix, "min_volume", "0", "1 or more");
  if (params.base_ejection <= duration::zero()) {
    refuse(field_prefix, "base_ejection", text(params.base_ejection), "more than 0ms");
  }
  if (params.max_ejection < params.base_ejection) {
    refuse(field_prefix, "max_ejection", text(params.max_ejection),
           "at least base_ejection, " + text(params.base_ejection));
  }
}

bool failure_accrual::record_trial(time_point now, bool success, rng& random) noexcept {
  if (state_ == accrual_state::dead) return false;
  if (success) {
    revive(now);
  } else {
    eject(now, random, "the trial call failed");
  }
  return true;
}

bool failure_accrual::on_elapsed(time_point now) noexcept {
  if (state_ != accrual_state::dead || now < until_) return false;
  state_ = accrual_state::probing;
  return true;
}

void failure_accrual::age(time_point now) noexcept {
  duration const tick = params_.window / ticks_a_window;
  auto const ticks = (now - tick_end_) / tick + 1;
  double const weight = std::exp(-static_cast<double>(ticks) / ticks_a_window);
  all_ *= weight;
  good_ *= weight;
  tick_end_ += ticks * tick;
}

bool failure_accrual::judge(time_point now, rng& random) noexcept {
  if (params_.consecutive_failures != 0 && in_a_row_ >= params_.consecutive_failures) {
    eject(now, random, "too many failures in a row");
  } else if (all_ >= params_.min_volume && good_ < params_.success_rate * all_) {
    eject(now, random, "too few calls succeed");
  } else {
    return false;
  }
  return true;
}

void failure_accrual::eject(time_point now, rng& random, std::string_view why) noexcept {
  if (state_ == accrual_state::alive) {
    auto const forgiven = std::max<duration::rep>((now - alive_since_) / params_.window, 0);
    ejections_ -= static_cast<std::uint32_t>(std::min<duration::rep>(forgiven, ejections_));
  }
  until_ = saturating_add(now, ejection_time(random));
  ++ejections_;
  state_ = accrual_state::dead;
  why_ = why;
}

void failure_accrual::revive(time_point now) noexcept {
  in_a_row_ = 0;
  all_ = good_ = 0;
  alive_since_ = now;
  state_ = accrual_state::alive;
}

duration failure_accrual::ejection_time(rng& random) const noexcept {
  if (ejections_ == 0) return params_.base_ejection;
  double const half = static_cast<double>(params_.base_ejection.count()) * std::exp2(ejections_ - 1);
  double const wait = half * random.between(1, 2);
  if (wait >= static_cast<double>(params_.max_ejection.count())) return params_.max_ejection;
  return duration(static_cast<duration::rep>(wait));
}

}  // namespace millrace::health
