// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>

#include <support/flags.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace millrace::echo {

/// What `millrace-echo` is asked to do.
struct options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: one that is free.
  double fail_rate = 0;    ///< The share of calls answered with `status` instead of an echo, 0 to 1.
  status_code status = status_code::unavailable;
  std::chrono::nanoseconds delay{};  ///< Before each answer; whole milliseconds, rounded up.
  double tail_share = 0;             ///< The share of calls that are answered `tail_delay` later, 0 to 1.
  std::chrono::nanoseconds tail_delay{};
  std::uint64_t seed = 1;         ///< Of the generator that picks the calls that fail, and those in the tail.
  std::string tls_certificate{};  ///< PEM; empty: plain text.
  std::string tls_key{};
  bool cork = true;  ///< Coalesce the answers of a loop turn.

  /// A connection is told to go away (GOAWAY) after this long, give or take a tenth, and cut off the grace after that; whole
  /// milliseconds, rounded up. Without: never.
  std::optional<std::chrono::nanoseconds> max_connection_age{};
  std::optional<std::chrono::nanoseconds> max_connection_age_grace{};
  /// Calls a connection may have in flight (HTTP/2's SETTINGS_MAX_CONCURRENT_STREAMS). Without: gRPC sets no limit.
  std::optional<std::uint32_t> max_streams{};
  /// grpc.health.v1 knows the echo service by its name too, and the program flips both on SIGUSR1.
  bool health = false;
};

/// The options of a command line, or what to do instead of serving. Any thread.
std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv);

}  // namespace millrace::echo
