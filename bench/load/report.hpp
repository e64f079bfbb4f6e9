// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::load {

/// In microseconds. In an open loop from when a call was due, not from when it was started.
struct latency_report {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;
};

/// One endpoint's share. `calls` counts the attempts it was given, `ok` those that succeeded: over all endpoints they add up
/// to the report's `attempts`, not to its `calls`.
struct endpoint_report {
  std::string address;
  std::uint64_t calls = 0;
  std::uint64_t ok = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t ejections = 0;  ///< Times it was found unfit for calls.
  double ewma_us = 0;  ///< Its attempts' latency at the end, averaged so that what is 10 s old counts a factor e less.
  std::map<std::string, std::uint64_t> ejection_reasons{};  ///< Why, each with how often; they add up to `ejections`.
  std::uint64_t dials = 0;                                  ///< Attempts to connect.
  std::uint64_t replacements = 0;  ///< Connections that another one took over from while they still worked.
};

/// What an endpoint was given in the last second, and how it is.
struct endpoint_second {
  std::string address;
  std::uint64_t attempts = 0;
  double ewma_us = 0;
  std::string state;  ///< `ready`, `not connected`, or what its health says against it.
};

/// What write coalescing did, on all connections.
struct coalescing_report {
  std::uint64_t corks = 0;  ///< Times writes were held back.
  double held_us = 0;       ///< How long in all,
  double longest_us = 0;    ///< and the longest of them.
  std::uint64_t failed_uncorks = 0;
};

/// What became of a run. Plain figures; whoever drives the load fills them in.
struct report {
  std::chrono::nanoseconds elapsed{};  ///< For the table only.
  std::uint64_t calls = 0;             ///< Finished, as their callers see it: `ok + failed`.
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::map<std::string, std::uint64_t> by_status;  ///< The failed calls by gRPC's name of their status; never OK.
  double rps = 0;
  latency_report latency_us;
  std::uint64_t attempts = 0;
  std::uint64_t retries = 0;
  std::uint64_t budget_denied = 0;
  std::uint64_t hedges = 0;                             ///< Of the attempts.
  std::map<std::string, std::uint64_t> hedges_skipped;  ///< That were due, by why they were not sent.
  std::uint64_t health_questions = 0;
  double cpu_us_per_call = 0;  ///< Of this process, user and system.
  coalescing_report coalescing;
  std::vector<double>
      reconnect_ms;  ///< For each connection lost and regained, the time between, in the order regained.
  std::vector<std::uint32_t> pool_size;  ///< Connections that were ready, second by second.
  std::vector<endpoint_report> endpoints;
};

/// The table for people; several lines, the last one ended too.
std::string to_table(report const& result);

/// The same figures as JSON, one key a line, ended by a newline. The keys are documented in bench/load/README.md and stable.
std::string to_json(report const& result);

/// Writes `to_json` to a file, or to stdout when `path` is `-`. Returns whether all of it was written.
bool write_json(report const& result, std::string const& path);

/// What goes beneath a progress line: share of the attempts, average latency and state of each endpoint, ended by a newline.
std::string to_line(std::vector<endpoint_second> const& endpoints);

/// A line of narration: `[  3.0 s] what`, ended by a newline. Print it at once and flush; bench/demo.sh writes lines of the same
/// form between them.
std::string narration(std::chrono::nanoseconds since_start, std::string_view what);

}  // namespace millrace::load
