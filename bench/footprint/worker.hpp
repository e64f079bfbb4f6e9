// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::footprint {

/// Memory that one of many things takes, in bytes: what a process has more with all of them, divided by their number.
struct bytes_each {
  double heap = 0;      ///< In use, as malloc counts it, its own overhead included.
  double resident = 0;  ///< Of the whole process, as the kernel counts it.
};

/// What one child process is to measure.
struct assignment {
  std::string kind;  ///< One of `kinds`.
  std::string target;
  std::uint64_t count = 1;
};

struct kind {
  char const* name;
  char const* what;
  bytes_each (*measure)(std::string const& target, std::uint64_t count);
};

/// All that can be measured.
std::vector<kind> const& kinds();

/// The arguments of a child that does it: `--worker …`.
std::vector<std::string> to_arguments(assignment const& one);

/// Does what such arguments say and prints a line. Returns the exit status.
int work_off(int argc, char const* const* argv);

/// What such a line says; none when it is no such line.
std::optional<bytes_each> parse_bytes(std::string const& line);

}  // namespace millrace::footprint
