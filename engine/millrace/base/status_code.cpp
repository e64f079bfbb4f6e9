// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/status_code.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace millrace {
namespace {

constexpr std::array<std::string_view, status_code_count> names = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return upper(x) == upper(y); });
}

}  // namespace

std::string_view to_string(status_code value) noexcept {
  auto const at = static_cast<std::size_t>(value);
  return at < names.size() ? names[at] : std::string_view{"UNKNOWN"};
}

std::optional<status_code> status_code_from(std::string_view text) noexcept {
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (same(names[at], text)) return static_cast<status_code>(at);
  }
  unsigned number = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number >= names.size()) return std::nullopt;
  return static_cast<status_code>(number);
}

}  // namespace millrace
