// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/outlier_detector.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace millrace::health {
namespace {

using retry::impl::refuse, retry::impl::text;

void check_percent(std::uint32_t value, std::string_view prefix, std::string_view field) {
  if (value > 100) refuse(prefix, field, text(value), "0 to 100");
}

void check_volume(std::uint32_t value, std::string_view prefix) {
  if (value == 0) refuse(prefix, "request_volume", "0", "1 or more");
}

void check_positive(duration value, std::string_view prefix, std::string_view field) {
  if (value <= duration::zero()) refuse(prefix, field, text(value), "more than 0ms");
}

bool on(outlier_params const& params) noexcept { return params.success_rate || params.failure_percentage; }

}  // namespace

void validate(outlier_params const& params, std::string_view field_prefix) {
  check_positive(params.interval, field_prefix, "interval");
  check_positive(params.base_ejection_time, field_prefix, "base_ejection_time");
  check_positive(params.max_ejection_time, field_prefix, "max_ejection_time");
  check_percent(params.max_ejection_percent, field_prefix, "max_ejection_percent");
  if (params.success_rate) {
    std::string const prefix = std::string(field_prefix) + ".success_rate";
    check_percent(params.success_rate->enforcement, prefix, "enforcement");
    check_volume(params.success_rate->request_volume, prefix);
  }
  if (params.failure_percentage) {
    std::string const prefix = std::string(field_prefix) + ".failure_percentage";
    check_percent(params.failure_percentage->threshold, prefix, "threshold");
    check_percent(params.failure_percentage->enforcement, prefix, "enforcement");
    check_volume(params.failure_percentage->request_volume, prefix);
  }
}

outlier_detector::outlier_detector(outlier_params const& params, time_point now) noexcept
    : params_(params), next_sweep_(on(params) ? saturating_add(now, params.interval) : never) {}

void outlier_detector::add(std::uint32_t endpoint) {
  if (endpoint >= hosts_.size()) hosts_.resize(endpoint + 1);
  // a sweep allocates nothing: each method says one thing at most about each
  changes_.reserve(hosts_.size() * 2);
  remove(endpoint);
  hosts_[endpoint] = {.present = true};
  ++present_;
}

void outlier_detector::remove(std::uint32_t endpoint) noexcept {
  host& one = hosts_[endpoint];
  if (!one.present) return;
  if (one.ejected) --ejected_;
  --present_;
  one = {};
}

std::span<outlier_change const> outlier_detector::sweep(time_point now, rng& random) noexcept {
  changes_.clear();
  if (!on(params_)) return changes_;
  next_sweep_ = saturating_add(now, params_.interval);
  if (params_.success_rate) judge_success_rates(*params_.success_rate, now, random);
  if (params_.failure_percentage) judge_failure_percentages(*params_.failure_percentage, now, random);
  at_rest_ = true;
  for (host& one : hosts_) settle(one, now);
  return changes_;
}

bool outlier_detector::enough_hosts(std::uint32_t minimum, std::uint32_t volume) const noexcept {
  auto const judged = std::count_if(hosts_.begin(), hosts_.end(),
                                    [&](host const& one) { return one.present && one.volume() >= volume; });
  // without any there is no mean either
  return judged > 0 && static_cast<std::uint32_t>(judged) >= minimum;
}

double outlier_detector::least_success_rate(success_rate_params const& by) const noexcept {
  double count = 0, sum = 0, squares = 0;
  auto const for_each_rate = [&](auto visit) {
    for (host const& one : hosts_) {
      if (one.present && one.volume() >= by.request_volume) visit(one.success_rate());
    }
  };
  for_each_rate([&](double rate) {
    count += 1;
    sum += rate;
  });
  double const mean = sum / count;
  for_each_rate([&](double rate) { squares += (rate - mean) * (rate - mean); });
  return mean - std::sqrt(squares / count) * by.stdev_factor / 1000;
}

void outlier_detector::judge_success_rates(success_rate_params const& by, time_point now, rng& random) noexcept {
  if (!enough_hosts(by.minimum_hosts, by.request_volume)) return;
  double const least = least_success_rate(by);
  for (host& one : hosts_) {
    if (!one.present || one.volume() < by.request_volume || one.success_rate() >= least) continue;
    found(one, outlier_method::success_rate, by.enforcement, now, random);
  }
}

void outlier_detector::judge_failure_percentages(failure_percentage_params const& by, time_point now,
                                                 rng& random) noexcept {
  if (!enough_hosts(by.minimum_hosts, by.request_volume)) return;
  for (host& one : hosts_) {
    if (!one.present || one.volume() < by.request_volume) continue;
    if (std::uint64_t{one.calls[0]} * 100 <= std::uint64_t{by.threshold} * one.volume()) continue;
    found(one, outlier_method::failure_percentage, by.enforcement, now, random);
  }
}

void outlier_detector::found(host& one, outlier_method method, std::uint32_t enforcement, time_point now,
                             rng& random) noexcept {
  if (one.ejected) return;
  if (!may_eject_one_more()) return tell(one, outlier_decision::spared_by_limit, method);
  if (random.below(100) >= enforcement) return tell(one, outlier_decision::spared_by_enforcement, method);
  eject(one, method, now);
}

bool outlier_detector::may_eject_one_more() const noexcept {
  if (ejected_ == 0) return params_.max_ejection_percent > 0;
  return (std::uint64_t{ejected_} + 1) * 100 <= std::uint64_t{params_.max_ejection_percent} * present_;
}

void outlier_detector::eject(host& one, outlier_method method, time_point now) noexcept {
  ++one.multiplier;
  ++ejected_;
  one.ejected = true;
  one.method = method;
  duration const most = std::max(params_.base_ejection_time, params_.max_ejection_time);
  bool const capped = one.multiplier > most / params_.base_ejection_time;
  one.until = saturating_add(now, capped ? most : params_.base_ejection_time * one.multiplier);
  tell(one, outlier_decision::ejected, method);
}

void outlier_detector::settle(host& one, time_point now) noexcept {
  if (!one.present) return;
  if (!one.ejected) {
    if (one.multiplier > 0) --one.multiplier;
  } else if (now >= one.until) {
    one.ejected = false;
    --ejected_;
    tell(one, outlier_decision::readmitted, one.method);
  }
  if (one.volume() > 0 || one.ejected || one.multiplier > 0) at_rest_ = false;
  one.calls = {};
}

void outlier_detector::tell(host const& one, outlier_decision decision, outlier_method method) noexcept {
  auto const number = static_cast<std::uint32_t>(&one - hosts_.data());
  time_point const until = decision == outlier_decision::ejected ? one.until : never;
  changes_.push_back({.endpoint = number, .decision = decision, .method = method, .until = until});
}

}  // namespace millrace::health
