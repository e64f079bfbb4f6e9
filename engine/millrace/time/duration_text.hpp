// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// A duration as people write it: a decimal number and a unit (`ns`, `us`, `ms`, `s`, `m` or `h`), such as `500ms` or `1.5s`; `0`
/// needs no unit. None for anything else, a sign included, and for more than 10 000 h.
std::optional<duration> parse_duration(std::string_view text) noexcept;

/// The same, in the largest unit that leaves it whole: `1500ms`, `2m`.
std::string to_text(duration value);

}  // namespace millrace
