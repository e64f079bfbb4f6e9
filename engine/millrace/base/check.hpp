// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace {

/// Prints `what` with its place and aborts. Called by MILLRACE_CHECK only.
[[noreturn]] void check_failed(char const* what, char const* file, int line) noexcept;

}  // namespace millrace

/// States an invariant of the engine. A failure is a bug in millrace, never a user's mistake, which is an error value.
#define MILLRACE_CHECK(condition)                               \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::millrace::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
