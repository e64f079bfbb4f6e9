// SPDX-License-Identifier: Apache-2.0
#include <millrace/time/duration_text.hpp>

#include <array>
#include <charconv>
#include <cmath>

namespace millrace {
namespace {

using namespace std::chrono_literals;

struct unit {
  std::string_view name;
  duration length;
};

// longest first, for to_text
constexpr std::array<unit, 6> units = {{{"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}, {"us", 1us}, {"ns", 1ns}}};

constexpr duration longest = 10'000h;

}  // namespace

std::optional<duration> parse_duration(std::string_view text) noexcept {
  auto const digits = text.substr(0, text.find_first_not_of("0123456789."));
  double number = 0;
  auto const [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  auto const suffix = text.substr(digits.size());
  if (suffix.empty() && number == 0) return 0ns;
  for (unit const& each : units) {
    if (suffix != each.name) continue;
    double const value = std::round(number * static_cast<double>(each.length.count()));
    if (value > static_cast<double>(longest.count())) return std::nullopt;
    return duration(static_cast<duration::rep>(value));
  }
  return std::nullopt;
}

std::string to_text(duration value) {
  if (value == 0ns) return "0s";
  for (unit const& each : units) {
    if (value % each.length == 0ns) return std::to_string(value / each.length).append(each.name);
  }
  return std::to_string(value.count()).append("ns");
}

}  // namespace millrace
