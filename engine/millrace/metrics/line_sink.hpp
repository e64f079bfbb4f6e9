// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace millrace {

/// Where lines for people go. Given one line at a time, without its newline, valid during the call. Must not throw or block.
using line_sink = std::function<void(std::string_view)>;

/// Writes the line and a newline to standard error.
void write_to_stderr(std::string_view line);

/// `text` on one line: control characters show as `\xNN`, so that words from a server cannot forge a log line.
std::string one_line(std::string_view text);

}  // namespace millrace
