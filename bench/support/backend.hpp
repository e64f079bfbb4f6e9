// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "child.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace millrace::bench {

/// The program that runs, wherever it was called from.
std::filesystem::path own_program();

/// `millrace-echo`, `millrace-canned` or `millrace-plain` of this build, in a process of its own, on a free port.
///
/// Thread: as child.
class backend {
 public:
  /// Returns when it listens. `flags` are added to its command line; `core`: where it runs (none: anywhere). Throws
  /// std::runtime_error when it is not built or does not start.
  explicit backend(std::string const& name, std::optional<int> core = {}, std::vector<std::string> const& flags = {});

  /// `127.0.0.1:50051`.
  std::string const& address() const noexcept { return address_; }

  /// As child::fate.
  std::string fate() { return process_.fate(); }

 private:
  child process_;
  std::string address_;
};

}  // namespace millrace::bench
