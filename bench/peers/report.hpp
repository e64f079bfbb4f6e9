// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "options.hpp"
#include "run.hpp"

#include <support/machine.hpp>

#include <optional>
#include <string>
#include <vector>

namespace millrace::peers {

/// One client in one cell over all rounds: medians. A ratio is the median of the rounds' ratios to textbook, each of two
/// measurements that were seconds apart, which what else the machine does disturbs less than the ratio of two medians.
struct summary {
  std::string client;
  cell where;
  double cpu_us = 0;
  double cpu_min_us = 0;
  double cpu_max_us = 0;
  std::optional<double> cpu_ratio;
  std::optional<double> rps_ratio;
  std::optional<double> p50_ratio;
  std::optional<double> p99_ratio;
  std::optional<double> cpu_to_asio_grpc;
  double rps = 0;
  double p50_us = 0;
  double p99_us = 0;
  double allocations = 0;
  std::optional<double> instructions;
};

/// All that the output is made of.
struct report {
  bench::machine here;
  std::string command;
  unsigned rounds = 0;
  double window_ms = 0;
  std::vector<summary> rows;
  std::vector<std::string> notes;
};

report summarise(options const& asked, bench::machine const& here, outcome const& done);

/// A table a cell, for people.
std::string to_tables(report const& all);

/// `rows[]` with the keys client, server, in_flight, payload, cpu_us, cpu_ratio, rps, p50_us, p99_us, allocs, spread (least and
/// most cpu_us of a round), rps_ratio, p50_ratio, p99_ratio and, where measured, cpu_ratio_to_asio_grpc and instructions.
std::string to_json(report const& all);

/// docs/benchmarks.md.
std::string to_page(report const& all);

}  // namespace millrace::peers
