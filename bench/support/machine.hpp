// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace millrace::bench {

/// Where a run takes place, for those who read its figures.
struct machine {
  std::string commit;  ///< From MILLRACE_COMMIT, which ./dev sets.
  std::string cpu;
  unsigned cores = 0;
  std::string kernel;
  std::string grpc;
  std::string compiler;
  std::string date;
  double load_before = 0;  ///< The load average, over a minute: what else was going on.
  double load_after = 0;
  std::optional<int> client_core;
  std::optional<int> server_core;

  static machine here();

  /// At the end of the run.
  void note_load();
};

/// A line that goes with every table of figures: commit, date, machine, library and compiler.
std::string to_text(machine const& one);

}  // namespace millrace::bench
