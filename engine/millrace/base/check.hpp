// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <source_location>

namespace millrace {

/// Prints `what` with its place and aborts. Called by MILLRACE_CHECK only.
[[noreturn]] void check_failed(char const* what, std::source_location where = std::source_location::current()) noexcept;

}  // namespace millrace

/// States an invariant of the engine. A failure is a bug in millrace, never a user's mistake, which is an error value.
#define MILLRACE_CHECK(condition)           \
  do {                                      \
    if (!(condition)) [[unlikely]]          \
      ::millrace::check_failed(#condition); \
  } while (false)
