// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace millrace::embedded {

/// A server's `main`: its only flags are `--port P`, 0 to 65535, and those of `no_cork`.
struct program {
  char const* name;
  char const* what;
  bool may_cork = false;  ///< Has a flag `--no-cork`.
  /// Serves on `address` until it is killed; returns false when it cannot listen.
  bool (*serve)(std::string const& address, bool cork) = nullptr;
};

int run(program const& one, int argc, char** argv);

/// Tells whoever started the program where it listens.
void say_listening(char const* name, int port);

}  // namespace millrace::embedded
