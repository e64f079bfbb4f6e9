// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace millrace::balance::impl {

/// Throws std::invalid_argument: `<prefix>.<field> is <value>; allowed: <allowed>`.
[[noreturn]] inline void refuse(std::string_view prefix, std::string_view field, std::string const& value,
                                std::string_view allowed) {
  throw std::invalid_argument(
      std::string(prefix).append(".").append(field).append(" is ").append(value).append("; allowed: ").append(allowed));
}

}  // namespace millrace::balance::impl
