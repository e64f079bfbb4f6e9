// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "machine.hpp"
#include "options.hpp"
#include "run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace millrace::peers {

/// One client in one cell, over all rounds: medians.
struct summary {
  std::string client;
  cell where;
  double cpu_us = 0;
  double cpu_min_us = 0;
  double cpu_max_us = 0;
  std::optional<double> cpu_ratio;  ///< To textbook's in the same cell.
  double rps = 0;
  double p50_us = 0;
  double p99_us = 0;
  double allocations = 0;
  std::optional<double> instructions;
};

/// All that the output is made of.
struct report {
  machine here;
  std::string command;
  unsigned rounds = 0;
  double window_ms = 0;
  std::vector<summary> rows;
  std::vector<std::string> notes;
};

report summarise(options const& asked, machine const& here, run const& done);

/// A table a cell, for people.
std::string to_tables(report const& all);

/// `rows[]` with the keys client, server, in_flight, payload, cpu_us, cpu_ratio, rps, p50_us, p99_us, allocs, spread and, where
/// counted, instructions.
std::string to_json(report const& all);

/// docs/benchmarks.md.
std::string to_page(report const& all);

/// Writes a text to a file, or to stdout when `path` is `-`. Returns whether all of it was written.
bool write_text(std::string const& text, std::string const& path);

}  // namespace millrace::peers
