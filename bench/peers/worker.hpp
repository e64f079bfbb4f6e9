// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client.hpp"
#include "meter.hpp"

#include <optional>
#include <string>
#include <vector>

namespace millrace::peers {

/// What one child process is to measure.
struct assignment {
  std::string client;
  std::string target;
  unsigned in_flight = 1;
  std::uint32_t payload = 16;
  unsigned threads = 1;  ///< Each does the work on its own: with a connection and `in_flight` calls of its own.
  window measured{};
};

/// The arguments of a child that does it: `--worker textbook …`.
std::vector<std::string> to_arguments(assignment const& one);

/// Throws bench::bad_flag for what `to_arguments` would not write.
assignment parse_assignment(int argc, char const* const* argv);

/// Does it and prints the figures, one line on stdout; of several threads together, with the means of their percentiles. Returns the exit status: 0, or 1 with the reason on stderr when any call
/// failed.
int work_off(assignment const& one);

/// The figures of such a line; none when it is no such line.
std::optional<figures> parse_figures(std::string const& line);

}  // namespace millrace::peers
