// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/budget.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace millrace::retry {
namespace {

// an earlier window than any, whose distance to any still fits
constexpr std::int64_t before_time = std::numeric_limits<std::int64_t>::min() / 2;

// 100 × 0.29 is a little less than 29
constexpr double rounding = 1e-6;

budget_params const& validated(budget_params const& params) {
  validate(params, "budget");
  return params;
}

}  // namespace

void validate(budget_params const& params, std::string_view field_prefix) {
  using impl::refuse, impl::text;
  if (!(params.percent >= 0 && params.percent <= 1000)) {
    refuse(field_prefix, "percent", text(params.percent), "0 to 1000");
  }
  if (!(params.min_per_second >= 0) || std::isinf(params.min_per_second)) {
    refuse(field_prefix, "min_per_second", text(params.min_per_second), "a finite number of at least 0");
  }
  if (params.ttl < std::chrono::seconds{1} || params.ttl > std::chrono::seconds{60}) {
    refuse(field_prefix, "ttl", text(params.ttl), "1000ms to 60000ms");
  }
}

budget::budget(budget_params params)
    : current_(before_time),
      window_length_((validated(params).ttl + duration{windows_per_ttl - 1}) / windows_per_ttl),
      percent_(params.percent),
      reserve_(params.min_per_second * std::chrono::duration<double>(params.ttl).count()) {}

void budget::deposit(time_point now) noexcept {
  advance(now);
  ++at(current_).deposits;
  ++sum_.deposits;
}

bool budget::try_withdraw(time_point now) noexcept {
  if (!allows(now)) {
    ++denied_;
    return false;
  }
  spend();
  ++withdrawn_;
  return true;
}

bool budget::allows(time_point now) noexcept {
  advance(now);
  return available() + rounding >= 1;
}

void budget::charge(time_point now) noexcept {
  advance(now);
  spend();
  ++charged_;
}

void budget::spend() noexcept {
  ++at(current_).withdrawals;
  ++sum_.withdrawals;
}

double budget::balance(time_point now) noexcept {
  advance(now);
  return std::max(0.0, available());
}

budget::window& budget::at(std::int64_t number) noexcept {
  constexpr auto count = static_cast<std::int64_t>(windows_per_ttl + 1);
  return windows_[static_cast<std::size_t>((number % count + count) % count)];
}

void budget::advance(time_point now) noexcept {
  std::int64_t const number = now.time_since_epoch() / window_length_;
  // whatever the gap, each window needs clearing only once
  std::int64_t const first = std::max(current_, number - static_cast<std::int64_t>(windows_.size()));
  for (std::int64_t stale = first + 1; stale <= number; ++stale) {
    window& expired = at(stale);
    sum_.deposits -= expired.deposits;
    sum_.withdrawals -= expired.withdrawals;
    expired = {};
  }
  current_ = std::max(current_, number);
}

double budget::available() const noexcept {
  return reserve_ + percent_ * static_cast<double>(sum_.deposits) - static_cast<double>(sum_.withdrawals);
}

}  // namespace millrace::retry
