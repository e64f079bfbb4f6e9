// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/impl/refuse.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <stdexcept>

namespace millrace::retry::impl {

void refuse(std::string_view prefix, std::string_view field, std::string_view value, std::string_view allowed) {
  std::string what{prefix};
  if (!prefix.empty()) what += '.';
  what.append(field).append(" is ").append(value).append("; allowed: ").append(allowed);
  throw std::invalid_argument(what);
}

std::string text(double value) {
  std::array<char, 32> digits{};
  auto const written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), written.ptr};
}

std::string text(unsigned value) { return std::to_string(value); }

std::string text(duration value) { return text(std::chrono::duration<double, std::milli>(value).count()) + "ms"; }

}  // namespace millrace::retry::impl
