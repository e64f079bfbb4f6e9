// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client.hpp"
#include "options.hpp"
#include "worker.hpp"

#include <support/backend.hpp>
#include <support/machine.hpp>

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

/// What came of a run.
struct outcome {
  std::vector<row> rows;           ///< Those measured at least once, cell by cell.
  std::vector<std::string> notes;  ///< What was not measured and why, a line each.
  unsigned rounds = 0;             ///< That were finished.
  duration window_length{};
  bool failed = false;  ///< A call of any client.
};

/// Measures what the options say: for each round, for each cell, each client once, in a process of its own. Servers run for the whole
/// time, in processes of their own.
class run {
 public:
  run(options const& wanted, bench::machine const& here);

  /// Until done, interrupted or, of a quick run, out of time. To be called once. Throws std::runtime_error when a server does not
  /// start.
  outcome measure();

 private:
  // who is measured: a client of a bench-peers
  struct contender {
    std::string name;  // in the tables
    client const* how;
    std::string program;
  };

  void plan();
  void add_contenders(std::string const& program, std::string_view suffix);
  void note_what_is_left_out();
  void start_servers();
  void measure_cell(cell const& where, unsigned round);
  void measure_one(row& one, unsigned round);
  void count_instructions();
  std::optional<double> instructions_of(row const& one, std::uint64_t calls);
  std::vector<std::string> command(row const& one, window measured) const;
  time_point within(duration d) const;
  bool must_end(duration after = {}) const;
  void note(std::string line);

  options const& wanted_;
  bench::machine const& here_;
  window window_;
  time_point began_;
  std::vector<contender> contenders_;
  std::vector<cell> cells_;
  std::map<std::string, bench::backend> servers_;
  outcome seen_;
};

}  // namespace millrace::peers
