// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <millrace/resolve/target.hpp>

#include <millrace/config/json.hpp>

#include <arpa/inet.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace millrace::load {
namespace {

using namespace std::chrono_literals;
using bench::bad_flag;

constexpr std::uint64_t max_connections = 10'000;
constexpr std::uint64_t max_concurrency = 1'000'000;
constexpr std::uint64_t max_payload = 1u << 30u;
constexpr std::uint64_t max_certificates = 1u << 20u;
constexpr std::uint64_t max_config = 1u << 20u;

using text = std::optional<std::string>;

// the flags as they were written; `checked` turns them into options
struct flags {
  text endpoints, resolver, max_slots, watermark, health, method, payload_bytes, payload_file, connections, concurrency,
      rate, duration, calls, timeout, attempts, hedge, balance, hash_keys, config, json, tls_ca;
  bool allow_failures = false;
  bool quiet = false;
  bool no_cork = false;
  bool narrate = false;
  bool wait_for_ready = false;
  bool outlier = false;
  bool explain = false;
};

void declare(CLI::App& app, flags& given) {
  auto const value = [&app](char const* name, text& to, char const* type, char const* what) {
    app.add_option(name, to, what)->type_name(type);
  };
  value("--endpoints", given.endpoints, "A,B,…", "Where the servers are: host:port, [v6]:port or unix:path");
  value("--resolver", given.resolver, "TARGET",
        "Instead of --endpoints: dns:///host:port, file:///list.json, or any target of a pool");
  value("--method", given.method, "/S/M", "The method to call: /package.Service/Method (required)");
  value("--payload-bytes", given.payload_bytes, "N", "Send N zero bytes with each call (default 16)");
  value("--payload-file", given.payload_file, "FILE", "Send the file's bytes with each call");
  value("--connections", given.connections, "N",
        "TCP connections over all endpoints (default one for each; one with pick_first)");
  value("--max-slots", given.max_slots, "N", "Open up to N connections while calls wait (default --connections)");
  value("--watermark", given.watermark, "N", "Calls a connection carries at once; more wait (default no bound)");
  value("--concurrency", given.concurrency, "N", "Closed loop: keep N calls in flight (default 64)");
  value("--rate", given.rate, "RPS", "Open loop: RPS calls a second, each timed from when it was due");
  value("--duration", given.duration, "D", "Start calls for so long, such as 500ms, 10s or 2m (default 10s)");
  value("--calls", given.calls, "N", "Make N calls");
  value("--timeout", given.timeout, "D", "Of a call, its retries included (default 1s)");
  value("--attempts", given.attempts, "N", "Attempts a call may make, 1 to 5 (default 3)");
  value(
      "--hedge", given.hedge, "D|pN",
      "Send calls without an answer once more, after a time such as 20ms or a percentile such as p95 (default never)");
  value("--balance", given.balance, "POLICY",
        "round_robin (default), least_request, peak_ewma, pick_first, ring_hash or maglev");
  value("--hash-keys", given.hash_keys, "N", "With ring_hash or maglev: give the calls N keys in turn (default none)");
  value("--health", given.health, "SERVICE",
        "Ask each endpoint's health service for SERVICE, '' for the server, and leave out those that do not serve");
  value("--config", given.config, "FILE", "Parameters of the pool, as JSON; the other flags win over them");
  value("--json", given.json, "FILE", "Write the report there as JSON; - is stdout, and the table goes to stderr");
  value("--tls-ca", given.tls_ca, "FILE", "Use TLS, and trust the certificates in FILE (PEM)");
  app.add_flag("--explain", given.explain, "Print all parameters, where each comes from, and what is questionable");
  app.add_flag("--outlier", given.outlier, "Leave out endpoints whose calls fail: in a row, or more than the others'");
  app.add_flag("--allow-failures", given.allow_failures, "Exit with 0 although calls failed");
  app.add_flag("--quiet", given.quiet, "No progress lines");
  app.add_flag("--no-cork", given.no_cork, "Do not coalesce what calls of a loop turn write");
  app.add_flag("--narrate", given.narrate, "Say what happens to connections and calls as it happens");
  app.add_flag("--wait-for-ready", given.wait_for_ready,
               "Do not start before each endpoint, or that of pick_first, has a connection");
}

void exclude(char const* flag, text const& value, char const* other, text const& other_value) {
  if (value && other_value) throw bad_flag(flag, *value, fmt::format("allowed is either it or {}", other));
}

std::vector<std::string> checked_endpoints(text const& list) {
  constexpr auto allowed = "allowed are host:port, [v6]:port and unix:path, separated by commas";
  if (!list) throw bad_flag("--endpoints", std::nullopt, fmt::format("it is required: {}", allowed));
  std::vector<std::string> endpoints;
  for (std::size_t at = 0; at <= list->size();) {
    std::size_t const comma = std::min(list->find(',', at), list->size());
    auto const& one = endpoints.emplace_back(list->substr(at, comma - at));
    if (!is_endpoint(one)) throw bad_flag("--endpoints", one, allowed);
    if (std::find(endpoints.begin(), endpoints.end() - 1, one) != endpoints.end() - 1) {
      throw bad_flag("--endpoints", one, "allowed is each endpoint once");
    }
    at = comma + 1;
  }
  return endpoints;
}

std::string checked_resolver(std::string const& target) try {
  static_cast<void>(resolve::parse_target(target, "it"));
  return target;
} catch (std::invalid_argument const& error) {
  throw bad_flag("--resolver", target, error.what());
}

std::string checked_method(text const& method) {
  constexpr auto allowed = "allowed is /package.Service/Method";
  if (!method) throw bad_flag("--method", std::nullopt, fmt::format("it is required: {}", allowed));
  if (!is_method(*method)) throw bad_flag("--method", *method, allowed);
  return *method;
}

std::string checked_payload(flags const& given) {
  exclude("--payload-file", given.payload_file, "--payload-bytes", given.payload_bytes);
  if (given.payload_file) return bench::contents("--payload-file", *given.payload_file, max_payload);
  return std::string(bench::whole("--payload-bytes", given.payload_bytes.value_or("16"), {0, max_payload}), '\0');
}

std::uint32_t checked_connections(text const& connections, options const& made) {
  // pick_first has all of them to one
  std::size_t const endpoints =
      made.balance == "pick_first" ? std::min<std::size_t>(made.endpoints.size(), 1) : made.endpoints.size();
  if (!connections) return static_cast<std::uint32_t>(endpoints);
  // fewer than endpoints would leave some without any load, which nobody means who names them
  auto const count = bench::whole("--connections", *connections, {1, max_connections});
  if (count < endpoints) {
    throw bad_flag("--connections", *connections,
                   fmt::format("allowed are {} (one for each endpoint) to {}", endpoints, max_connections));
  }
  return static_cast<std::uint32_t>(count);
}

void check_balance(flags const& given, options& made) {
  constexpr std::string_view policies[] = {"round_robin", "least_request", "peak_ewma",
                                           "pick_first",  "ring_hash",     "maglev"};
  if (given.balance) made.balance = *given.balance;
  if (std::ranges::find(policies, made.balance) == std::end(policies)) {
    throw bad_flag("--balance", made.balance, fmt::format("allowed are {}", fmt::join(policies, ", ")));
  }
  if (!given.hash_keys) return;
  made.hash_keys = bench::whole("--hash-keys", *given.hash_keys, {1, 1'000'000'000});
  if (made.balance != "ring_hash" && made.balance != "maglev") {
    throw bad_flag("--hash-keys", *given.hash_keys, "allowed only with --balance ring_hash or maglev");
  }
}

void check_hedge(std::string const& when, options& made) {
  if (when.starts_with('p')) {
    try {
      made.hedge_percentile = bench::real("--hedge", when.substr(1), {1, 99.99});
    } catch (std::invalid_argument const&) {
      throw bad_flag("--hedge", when, "allowed are percentiles from p1 to p99.99");
    }
  } else {
    made.hedge_after = bench::duration("--hedge", when, {0ns, 1h});
  }
}

void check_load(flags const& given, options& made) {
  exclude("--rate", given.rate, "--concurrency", given.concurrency);
  exclude("--calls", given.calls, "--duration", given.duration);
  if (given.concurrency) {
    made.concurrency =
        static_cast<std::uint32_t>(bench::whole("--concurrency", *given.concurrency, {1, max_concurrency}));
  }
  if (given.rate) made.rate = bench::real("--rate", *given.rate, {0.01, 10'000'000});
  if (given.calls) {
    made.calls = bench::whole("--calls", *given.calls, {1, 1'000'000'000'000});
  } else {
    made.duration = bench::duration("--duration", given.duration.value_or("10s"), {1ms, 1000h});
  }
}

// the file's text, and what it says of the target, which is empty if it leaves that to flags, and of the policy
struct config_says {
  std::string json, target, balance;
};

config_says checked_config(text const& file) {
  if (!file) return {.json = {}, .target = {}, .balance = pool_params{}.balance};
  std::string json = bench::contents("--config", *file, max_config);
  try {
    pool_params const says = pool_params::from_json(json);
    return {std::move(json), says.target, says.balance};
  } catch (std::invalid_argument const& error) {
    throw bad_flag("--config", *file, error.what());
  }
}

void check_where(flags const& given, options& made) {
  exclude("--resolver", given.resolver, "--endpoints", given.endpoints);
  auto [json, target, balance] = checked_config(given.config);
  made.config = std::move(json);
  made.balance = std::move(balance);
  if (given.resolver) {
    made.resolver = checked_resolver(*given.resolver);
  } else if (given.endpoints || target.empty()) {
    made.endpoints = checked_endpoints(given.endpoints);
  } else {
    made.resolver = std::move(target);
  }
}

options checked(flags const& given) {
  options made;
  check_where(given, made);
  made.method = checked_method(given.method);
  made.payload = checked_payload(given);
  check_balance(given, made);
  made.connections = checked_connections(given.connections, made);
  if (given.max_slots) {
    made.max_slots = static_cast<std::uint32_t>(
        bench::whole("--max-slots", *given.max_slots, {std::max(made.connections, 1u), max_connections}));
  }
  if (given.watermark) {
    made.watermark = static_cast<std::uint32_t>(bench::whole("--watermark", *given.watermark, {1, max_concurrency}));
  }
  made.health = given.health;
  made.outlier = given.outlier;
  check_load(given, made);
  if (given.timeout) made.timeout = bench::duration("--timeout", *given.timeout, {1ms, 1h});
  if (given.attempts) made.attempts = static_cast<std::uint32_t>(bench::whole("--attempts", *given.attempts, {1, 5}));
  if (given.hedge) check_hedge(*given.hedge, made);
  if (given.json) made.json = bench::output("--json", *given.json);
  if (given.tls_ca) made.tls_ca = bench::contents("--tls-ca", *given.tls_ca, max_certificates);
  made.allow_failures = given.allow_failures;
  made.quiet = given.quiet;
  made.no_cork = given.no_cork;
  made.narrate = given.narrate;
  made.explain = given.explain;
  made.wait_for_ready = given.wait_for_ready;
  return made;
}

std::set<std::string> flags_of(CLI::App const& app) {
  std::set<std::string> names;
  for (CLI::Option const* const option : app.get_options()) {
    if (option->count() > 0) names.insert("--" + option->get_single_name());
  }
  return names;
}

bool is_port(std::string_view digits) noexcept {
  std::uint32_t port = 0;
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc{} && end == digits.data() + digits.size() && port >= 1 && port <= 65535;
}

bool is_v6(std::string const& address) {
  in6_addr parsed{};
  return inet_pton(AF_INET6, address.c_str(), &parsed) == 1;
}

bool is_host(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  });
}

bool is_printable(std::string_view part) noexcept {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

bool is_endpoint(std::string_view text) {
  if (text.substr(0, 5) == "unix:") return text.size() > 5;
  auto const colon = text.rfind(':');
  if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) return false;
  auto const host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return is_v6(std::string(host.substr(1, host.size() - 2)));
  return is_host(host);
}

bool is_method(std::string_view text) noexcept {
  if (text.empty() || text.front() != '/') return false;
  auto const slash = text.find('/', 1);
  return slash != std::string_view::npos && is_printable(text.substr(1, slash - 1)) &&
         is_printable(text.substr(slash + 1)) && text.find('/', slash + 1) == std::string_view::npos;
}

std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv) {
  CLI::App app("Drives unary load through the engine against gRPC servers, and reports what became of the calls.",
               "millrace-load");
  flags given;
  declare(app, given);
  try {
    if (auto help = bench::parse(app, argc, argv)) return *std::move(help);
    options made = checked(given);
    made.given = flags_of(app);
    return made;
  } catch (bad_flag const& error) {
    return bench::refusal("millrace-load", error);
  }
}

}  // namespace millrace::load
