// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "machine.hpp"
#include "options.hpp"
#include "worker.hpp"

#include <support/backend.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::peers {

/// The conditions under which clients are compared.
struct cell {
  std::string server;
  std::uint32_t payload = 0;
  unsigned in_flight = 0;

  friend auto operator<=>(cell const&, cell const&) = default;
};

/// One client in one cell.
struct row {
  std::string client;
  cell where;
  std::map<unsigned, figures> runs;    ///< By round.
  std::optional<double> instructions;  ///< A call.
};

/// Measures what the options say: for each round, for each cell, each client once, in a process of its own. Servers run for the whole
/// time, in processes of their own.
class run {
 public:
  run(options const& wanted, machine const& here);

  /// Until done or interrupted. Throws std::runtime_error when a server does not start.
  void measure();

  /// Those measured at least once, cell by cell.
  std::vector<row> const& rows() const noexcept { return rows_; }

  /// What was not measured and why, a line each.
  std::vector<std::string> const& notes() const noexcept { return notes_; }

  /// Rounds that were finished.
  unsigned rounds() const noexcept { return rounds_; }
  duration window_length() const noexcept { return window_.length; }
  bool any_failed() const noexcept { return failed_; }

 private:
  void plan();
  void start_servers();
  void measure_cell(cell const& where, unsigned round);
  void measure_one(row& one, unsigned round);
  void count_instructions();
  std::optional<double> instructions_of(row const& one, std::uint64_t calls);
  assignment assignment_of(row const& one) const;
  void note(std::string line);

  options const& wanted_;
  machine const& here_;
  window window_;
  time_point began_;
  std::vector<cell> cells_;
  std::vector<row> rows_;
  std::vector<std::string> notes_;
  std::map<std::string, bench::backend> servers_;
  unsigned rounds_ = 0;
  bool failed_ = false;
};

}  // namespace millrace::peers
