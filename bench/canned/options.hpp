// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/flags.hpp>

#include <cstdint>
#include <optional>
#include <variant>

namespace millrace::canned {

/// What `millrace-canned` is asked to do.
struct options {
  std::uint16_t port = 0;                    ///< 0: one that is free.
  std::optional<std::uint32_t> reply_bytes;  ///< Length of each answer's message; none: that of its request.
};

/// The options of a command line, or what to do instead of serving. Any thread.
std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv);

}  // namespace millrace::canned
