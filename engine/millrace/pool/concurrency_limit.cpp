// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/concurrency_limit.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <cmath>
#include <limits>

namespace millrace {
namespace {

constexpr double outlier = 8;  // times the mean of the last window
constexpr double got_faster =
    0.9;                           // times the latency under twice the limit, or less: calls wait for one another there
constexpr double followed = 0.75;  // the same, when the limit has halved by itself
constexpr double jitter = 0.1;
constexpr std::uint32_t rest = 10;  // windows at least between measurements, whatever the latency does

double with_headroom(double limit) noexcept { return limit + std::sqrt(limit); }

}  // namespace

void validate(concurrency_limit_params const& params, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (params.min == 0) refuse(field_prefix, "min", "0", "1 or more");
  if (params.max < params.min) refuse(field_prefix, "max", text(params.max), "at least min, " + text(params.min));
  if (params.initial < params.min || params.initial > params.max) {
    refuse(field_prefix, "initial", text(params.initial),
           "min to max, " + text(params.min) + " to " + text(params.max));
  }
  if (params.sample_window <= duration::zero()) {
    refuse(field_prefix, "sample_window", text(params.sample_window), "more than 0ms");
  }
  if (params.min_samples == 0) refuse(field_prefix, "min_samples", "0", "1 or more");
  if (!(params.tolerance >= 0 && std::isfinite(params.tolerance))) {
    refuse(field_prefix, "tolerance", text(params.tolerance), "a finite number of at least 0");
  }
  if (params.remeasure_interval <= duration::zero()) {
    refuse(field_prefix, "remeasure_interval", text(params.remeasure_interval), "more than 0ms");
  }
}

concurrency_limit::concurrency_limit(concurrency_limit_params const& params, rng& random) noexcept
    : params_(params),
      random_(random),
      limit_(params.initial),
      window_calls_(std::max(params.min_samples, params.initial)),
      longest_(std::numeric_limits<double>::infinity()) {}

void concurrency_limit::close_window(time_point now) noexcept {
  std::uint32_t const answered = calls_ - dropped_;
  double const latency = answered > 0 ? std::max(sum_ / answered, 1.0) : 0;
  double const kept = static_cast<double>(answered) / calls_;
  if (answered == 0) {
    set_limit(limit_ / 2);
  } else if (!warm_) {
    // while the calls in flight become as many as the limit, the first ones find an empty server
    warm_ = true;
  } else if (measuring()) {
    measure(now, latency);
  } else {
    adapt(now, latency, kept);
  }
  if (answered > 0) longest_ = outlier * std::max(latency, base_);
  window_began_ = now;
  window_ends_ = saturating_add(now, params_.sample_window);
  window_calls_ = std::max(params_.min_samples, limit());
  most_in_flight_ = calls_ = dropped_ = 0;
  sum_ = 0;
}

void concurrency_limit::adapt(time_point now, double latency, double kept) noexcept {
  if (base_ == 0) base_ = latency;
  if (resting_ > 0) --resting_;
  if (now >= measure_at_ || base_is_stale(latency)) return start_measuring(latency);
  if (most_in_flight_ < limit_ / 2) return;
  double const gradient = std::clamp(fits(1, latency) * kept, 0.5, 2.0);
  set_limit(with_headroom(limit_ * gradient));
}

// how much of a limit under which calls take `latency` the server works on at once
double concurrency_limit::fits(double limit, double latency) const noexcept {
  return limit * base_ * (1 + params_.tolerance) / latency;
}

// on its way down the limit takes the latency with it, unless that has another cause
bool concurrency_limit::base_is_stale(double latency) noexcept {
  if (resting_ == 0 && latency < base_ / 2) return true;
  bool const halved = resting_ == 0 && limit_ <= reference_limit_ / 2;
  bool const stale = halved && latency > followed * reference_latency_;
  if (halved || limit_ >= reference_limit_) {
    reference_limit_ = limit_;
    reference_latency_ = latency;
  }
  return stale;
}

void concurrency_limit::start_measuring(double latency) noexcept {
  limit_after_ = limit_;
  latency_after_ = latency_before_ = latency;
  set_limit(limit_ / 2);
}

void concurrency_limit::measure(time_point now, double latency) noexcept {
  bool const faster = latency < got_faster * latency_before_;
  if (faster && limit_ > params_.min) {
    latency_before_ = latency;
    return set_limit(limit_ / 2);
  }
  base_ = std::min(latency, latency_before_);
  set_limit(std::min(limit_after_, with_headroom(fits(limit_after_, latency_after_))));
  limit_after_ = 0;
  reference_limit_ = 0;
  resting_ = rest;
  auto const spread = random_.between(1 - jitter, 1 + jitter);
  measure_at_ = saturating_add(now, std::chrono::duration_cast<duration>(params_.remeasure_interval * spread));
}

void concurrency_limit::set_limit(double limit) noexcept {
  limit_ = std::clamp(limit, static_cast<double>(params_.min), static_cast<double>(params_.max));
}

}  // namespace millrace
