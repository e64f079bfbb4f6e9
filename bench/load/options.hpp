// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/flags.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::load {

/// What `millrace-load` is asked to do, checked: each value is within the range its flag's help names.
struct options {
  std::vector<std::string> endpoints;  ///< `host:port`, `[v6]:port` or `unix:path`, no two alike; none with a resolver.
  std::string resolver;                ///< A pool's target that says where the endpoints are; empty: `endpoints` does.
  std::string method;                  ///< `/package.Service/Method`.
  std::string payload;                 ///< The request's bytes: zeroes, or what was in the file.
  std::uint32_t connections =
      0;  ///< TCP connections of the pool over all endpoints; at least one for each, or for pick_first, 0 with a resolver.
  std::uint32_t max_slots = 0;  ///< So many when calls wait; 0: no more than `connections`.
  std::uint32_t watermark = 0;  ///< Calls a connection carries at once; 0: as many as there are.

  /// Closed loop: this many calls in flight. Not looked at when `rate` is set.
  std::uint32_t concurrency = 64;
  /// Open loop: this many calls a second, each timed from when it was due.
  std::optional<double> rate;

  /// How long to start calls; none when `calls` is set.
  std::optional<std::chrono::nanoseconds> duration;
  /// How many calls to make.
  std::optional<std::uint64_t> calls;

  std::chrono::nanoseconds timeout = std::chrono::seconds(1);  ///< Of a call, its retries included.
  std::uint32_t attempts = 3;                                  ///< Per call, the first one included; 1 to 5.
  std::optional<std::chrono::nanoseconds> hedge_after{};       ///< Hedge calls after so long.
  std::optional<double> hedge_percentile{};                    ///< Or after this percentile of their recent latency.
  std::string balance = "round_robin";                         ///< As pool_params::balance.
  std::uint64_t hash_keys = 0;                                 ///< Give the calls this many keys in turn; 0: none.
  std::optional<std::string> health;                           ///< Ask the endpoints for the health of this service.
  bool outlier = false;                                        ///< Eject endpoints whose calls fail.

  std::string config;             ///< Parameters of the pool, as JSON; empty: none. What `given` names wins over them.
  std::set<std::string> given{};  ///< The flags of the command line.
  bool explain = false;           ///< Say what the parameters are and where they come from, instead of driving load.

  std::string tls_ca;           ///< The certificates to trust, PEM; empty: plain text.
  std::string json;             ///< Where the JSON report goes: a file, `-` for stdout, empty for nowhere.
  bool allow_failures = false;  ///< Exit with 0 although calls failed.
  bool quiet = false;           ///< No progress lines.
  bool no_cork = false;         ///< Without the write coalescing of the pool.
  bool narrate = false;         ///< Say what happens to slots and calls as it happens.
  bool wait_for_ready = false;  ///< Do not start before each endpoint has a connection.
};

/// The options of a command line, or what to do instead of driving load: print the help, or one line that names a flag, its
/// value and what is allowed. Reads the payload file.
std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv);

/// Whether `text` is `host:port`, `[v6]:port` or `unix:path`.
bool is_endpoint(std::string_view text);

/// Whether `text` is `/package.Service/Method`: two parts, neither empty, of printable characters.
bool is_method(std::string_view text) noexcept;

}  // namespace millrace::load
