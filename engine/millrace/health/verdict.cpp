// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/verdict.hpp>

#include <algorithm>
#include <utility>

namespace millrace::health {

bool verdict::set(health_reason by, health::severity severity, std::string_view why) {
  auto const before = worst_;
  auto const decided = reason();
  opinion const last = std::exchange(said_[index(by)], {severity, std::string(why)});
  worst_ = health::severity::healthy;
  for (opinion const& one : said_) worst_ = std::max(worst_, one.severity);
  if (worst_ != before) return true;
  if (worst_ == health::severity::healthy) return false;
  return reason() != decided || (decided == by && last.why != why);
}

health_reason verdict::reason() const noexcept {
  auto const first =
      std::find_if(said_.begin(), said_.end(), [this](opinion const& one) { return one.severity == worst_; });
  return static_cast<health_reason>(first - said_.begin());
}

std::string_view verdict::why() const noexcept {
  return worst_ == health::severity::healthy ? std::string_view{} : said_[index(reason())].why;
}

}  // namespace millrace::health
