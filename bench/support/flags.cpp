// SPDX-License-Identifier: Apache-2.0
#include "flags.hpp"

#include <millrace/time/duration_text.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace millrace::bench {
namespace {

template <class Number>
std::optional<Number> number_from(std::string_view text) noexcept {
  Number number{};
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// a value is shown on one line whatever is in it
std::string shown(std::string_view value) {
  std::string text;
  for (char const c : value.substr(0, 200)) {
    if (static_cast<unsigned char>(c) < 0x20) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      text += c;
    }
  }
  return text;
}

std::string flag_names(CLI::App const& app) {
  std::string names;
  for (CLI::Option const* const option : app.get_options()) names += " --" + option->get_single_name();
  return names;
}

}  // namespace

bad_flag::bad_flag(std::string_view flag, std::optional<std::string_view> value, std::string_view allowed)
    : std::invalid_argument(value ? fmt::format("{} '{}': {}", shown(flag), shown(*value), allowed)
                                  : fmt::format("{}: {}", shown(flag), allowed)) {}

std::uint64_t whole(std::string_view flag, std::string_view value, whole_range allowed) {
  auto const number = number_from<std::uint64_t>(value);
  if (!number || *number < allowed.min || *number > allowed.max) {
    throw bad_flag(flag, value, fmt::format("allowed are whole numbers from {} to {}", allowed.min, allowed.max));
  }
  return *number;
}

double real(std::string_view flag, std::string_view value, real_range allowed) {
  auto const number = number_from<double>(value);
  // written so that "nan" fails too
  if (!number || !(*number >= allowed.min && *number <= allowed.max)) {
    throw bad_flag(flag, value, fmt::format("allowed are numbers from {} to {}", allowed.min, allowed.max));
  }
  return *number;
}

std::chrono::nanoseconds duration(std::string_view flag, std::string_view value, duration_range allowed) {
  auto const length = parse_duration(value);
  if (!length || *length < allowed.min || *length > allowed.max) {
    throw bad_flag(flag, value,
                   fmt::format("allowed are durations such as 500ms, 1.5s or 2m, from {} to {}", to_text(allowed.min),
                               to_text(allowed.max)));
  }
  return *length;
}

std::string contents(std::string_view flag, std::string const& path, std::uint64_t most) {
  std::error_code error;
  std::ifstream file;
  // a directory can be opened, and read as if it were empty
  if (!std::filesystem::is_directory(path, error)) file.open(path, std::ios::binary);
  if (!file.is_open()) throw bad_flag(flag, path, "allowed is a file that can be read");
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (file.bad() || bytes.size() > most) {
    throw bad_flag(flag, path, fmt::format("allowed is a file of at most {} bytes", most));
  }
  return bytes;
}

std::string output(std::string_view flag, std::string const& path) {
  if (path == "-") return path;
  std::filesystem::path const parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error) ||
      (!parent.empty() && !std::filesystem::is_directory(parent, error))) {
    throw bad_flag(flag, path, "allowed is a file in a directory that exists, or -");
  }
  return path;
}

bool write_text(std::string const& text, std::string const& path) {
  std::FILE* const file = path == "-" ? stdout : std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  bool const whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  bool const kept = (file == stdout ? std::fflush(file) : std::fclose(file)) == 0;
  return whole && kept;
}

std::optional<exit_now> parse(CLI::App& app, int argc, char const* const* argv) {
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (CLI::CallForHelp const&) {
    return exit_now{0, app.help()};
  } catch (CLI::ParseError const& error) {
    // CLI11's sentence starts with the flag; only a missing value or a repeated flag gets here
    std::string_view const text = error.what();
    auto const flag = text.substr(0, text.find(':'));
    throw bad_flag(flag, std::nullopt, "allowed is one such flag with one value");
  }
  if (auto const rest = app.remaining(); !rest.empty()) {
    std::optional<std::string_view> value;
    if (rest.size() > 1 && rest[1].rfind("--", 0) != 0) value = rest[1];
    throw bad_flag(rest.front(), value, fmt::format("there is no such flag; allowed are{}", flag_names(app)));
  }
  return std::nullopt;
}

exit_now refusal(std::string_view program, bad_flag const& error) {
  return {2, fmt::format("{}: {}\n", program, error.what())};
}

int leave(exit_now const& how) {
  std::FILE* const to = how.status == 0 ? stdout : stderr;
  std::fwrite(how.text.data(), 1, how.text.size(), to);
  return how.status;
}

}  // namespace millrace::bench
