// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/process.hpp>

#include <string>
#include <vector>

namespace millrace::test {

/// The program that an environment variable names.
inline std::string program_in(char const* variable) {
  char const* const path = std::getenv(variable);
  if (path == nullptr) FAIL(variable << " must name the program");
  return path;
}

/// A millrace-canned in a process of its own.
class canned_process {
 public:
  explicit canned_process(std::vector<std::string> const& flags = {}) : process_(command(flags)) {
    std::string const line = process_.read_line();
    INFO("millrace-canned said: " << line);
    REQUIRE(line.find("listening on 127.0.0.1:") != std::string::npos);
    address_ = line.substr(line.find("127.0.0.1:"));
  }

  std::string const& address() const noexcept { return address_; }

 private:
  static std::vector<std::string> command(std::vector<std::string> const& flags) {
    std::vector<std::string> made{program_in("MILLRACE_CANNED"), "--port", "0"};
    made.insert(made.end(), flags.begin(), flags.end());
    return made;
  }

  process process_;
  std::string address_;
};

}  // namespace millrace::test
