// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace millrace::bench {
namespace {

std::string program_of(std::string const& name) {
  auto const folder = name == "plain" ? "embedded" : name;
  auto const path = own_program().parent_path().parent_path() / folder / ("millrace-" + name);
  if (!std::filesystem::exists(path)) throw std::runtime_error(path.string() + " is not built");
  return path.string();
}

std::vector<std::string> command(std::string const& name, std::vector<std::string> const& flags) {
  std::vector<std::string> made{program_of(name), "--port", "0"};
  made.insert(made.end(), flags.begin(), flags.end());
  return made;
}

}  // namespace

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

backend::backend(std::string const& name, std::optional<int> core, std::vector<std::string> const& flags)
    : process_(command(name, flags), core) {
  auto const line = process_.read_line(std::chrono::steady_clock::now() + std::chrono::seconds(10)).value_or("");
  auto const at = line.find("127.0.0.1:");
  if (at == std::string::npos) throw std::runtime_error(fmt::format("millrace-{} does not start: {}", name, line));
  address_ = line.substr(at);
}

}  // namespace millrace::bench
