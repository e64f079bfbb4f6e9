// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <string>
#include <string_view>

namespace millrace::retry::impl {

/// Throws std::invalid_argument: `<prefix>.<field> is <value>; allowed: <allowed>`. Without a prefix there is no dot either.
[[noreturn]] void refuse(std::string_view prefix, std::string_view field, std::string_view value,
                         std::string_view allowed);

/// The shortest text that reads back as the same number.
std::string text(double value);
std::string text(unsigned value);

/// In milliseconds: `0.5ms`.
std::string text(duration value);

}  // namespace millrace::retry::impl
