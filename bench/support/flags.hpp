// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace millrace::bench {

/// A flag's value that is not allowed. `what()` is one line: the flag, the value, what is allowed.
class bad_flag : public std::invalid_argument {
 public:
  bad_flag(std::string_view flag, std::optional<std::string_view> value, std::string_view allowed);
};

struct whole_range {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};
struct real_range {
  double min = 0;
  double max = 0;
};
struct duration_range {
  std::chrono::nanoseconds min{};
  std::chrono::nanoseconds max{};
};

/// The value of a flag; throws bad_flag for what is not a number or a duration, or is out of range (ends included).
std::uint64_t whole(std::string_view flag, std::string_view value, whole_range allowed);
double real(std::string_view flag, std::string_view value, real_range allowed);
std::chrono::nanoseconds duration(std::string_view flag, std::string_view value, duration_range allowed);

/// The bytes of the file that a flag names; throws bad_flag when it cannot be read or has more than `most`.
std::string contents(std::string_view flag, std::string const& path, std::uint64_t most);

/// The path of a file to be written, or `-`; throws bad_flag when that cannot be. Before the work rather than after it: the file
/// itself is made when there is something to write.
std::string output(std::string_view flag, std::string const& path);

/// Writes a text to such a path, `-` being stdout. Returns whether all of it was written.
bool write_text(std::string const& text, std::string const& path);

/// What a program should do instead of its work: print `text` (to stdout when `status` is 0, else to stderr) and exit.
struct exit_now {
  int status = 0;
  std::string text;
};

/// Parses the command line into what `app` is bound to. Returns the help text when `--help` is given; throws bad_flag for a
/// flag that there is not, a flag without its value and a flag given twice.
std::optional<exit_now> parse(CLI::App& app, int argc, char const* const* argv);

/// The line for a bad_flag, `program: what`, and status 2.
exit_now refusal(std::string_view program, bad_flag const& error);

/// Prints what exit_now says; returns its status.
int leave(exit_now const& how);

}  // namespace millrace::bench
