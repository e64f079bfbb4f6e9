// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::health {

/// Who has a say on an endpoint's health, beside its connectivity.
enum class health_reason : std::uint8_t {
  health_check,  ///< What the server says of itself (watch_machine).
  accrual,       ///< How its own calls end (failure_accrual).
  outlier,       ///< How they end beside those of others (outlier_detector).
};

inline constexpr std::size_t health_reason_count = 3;

constexpr std::string_view to_string(health_reason value) noexcept {
  switch (value) {
    case health_reason::health_check: return "health_check";
    case health_reason::accrual: return "accrual";
    case health_reason::outlier: return "outlier";
  }
  return "?";
}

/// What is to be done about an endpoint, from the mildest on.
enum class severity : std::uint8_t {
  healthy,    ///< Calls go to it.
  probing,    ///< One call at a time goes to it, to see.
  unhealthy,  ///< No call goes to it, unless there is nobody else.
};

constexpr std::string_view to_string(severity value) noexcept {
  switch (value) {
    case severity::healthy: return "healthy";
    case severity::probing: return "probing";
    case severity::unhealthy: return "unhealthy";
  }
  return "?";
}

/// All that is said about an endpoint's health. The severest reason counts, and each is cleared by who set it: one that goes away
/// never undoes another.
class verdict {
 public:
  /// `by` says so from now on; `why` is for people. True when the combined severity changed, or who decides on one that is not
  /// healthy, or in which words.
  bool set(health_reason by, health::severity severity, std::string_view why);

  health::severity severity() const noexcept { return worst_; }
  health::severity severity(health_reason by) const noexcept { return said_[index(by)].severity; }

  /// Who decides: the severest reason, of several the first; meaningless while all say healthy.
  health_reason reason() const noexcept;

  /// In that reason's words; empty while all say healthy.
  std::string_view why() const noexcept;

 private:
  struct opinion {
    health::severity severity = health::severity::healthy;
    std::string why;
  };

  static constexpr std::size_t index(health_reason by) noexcept { return static_cast<std::size_t>(by); }

  std::array<opinion, health_reason_count> said_;
  health::severity worst_ = health::severity::healthy;
};

}  // namespace millrace::health
