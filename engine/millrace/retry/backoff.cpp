// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/backoff.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace::retry {
namespace {

constexpr double ticks(duration value) noexcept { return static_cast<double>(value.count()); }

constexpr duration from_ticks(double value) noexcept {
  if (value >= ticks(duration::max())) return duration::max();
  return duration{static_cast<duration::rep>(value)};
}

}  // namespace

void validate(backoff_params const& params, std::string_view field_prefix) {
  using impl::refuse, impl::text;
  if (params.initial <= duration::zero()) refuse(field_prefix, "initial", text(params.initial), "more than 0ms");
  if (!(params.multiplier >= 1) || std::isinf(params.multiplier)) {
    refuse(field_prefix, "multiplier", text(params.multiplier), "a finite number of at least 1");
  }
  if (params.max < params.initial) {
    refuse(field_prefix, "max", text(params.max), "at least initial, " + text(params.initial));
  }
  if (!(params.jitter >= 0 && params.jitter <= 1)) refuse(field_prefix, "jitter", text(params.jitter), "0 to 1");
}

backoff::backoff(backoff_params params) noexcept : params_(params), wait_(ticks(params.initial)) {}

duration backoff::next(rng& random) noexcept {
  if (failures_ < std::numeric_limits<unsigned>::max()) ++failures_;
  double const wait = std::min(wait_, ticks(params_.max));
  wait_ = std::min(wait * params_.multiplier, ticks(params_.max));
  return from_ticks(wait * random.between(1 - params_.jitter, 1 + params_.jitter));
}

void backoff::reset() noexcept {
  failures_ = 0;
  wait_ = ticks(params_.initial);
}

}  // namespace millrace::retry
