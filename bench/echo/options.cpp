// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>

#include <limits>
#include <optional>

namespace millrace::echo {
namespace {

using namespace std::chrono_literals;

struct texts {
  std::string host = "127.0.0.1";
  std::optional<std::string> port;
  std::optional<std::string> fail_rate;
  std::optional<std::string> delay;
  std::optional<std::string> tail;
  std::optional<std::string> status;
  std::optional<std::string> seed;
  std::optional<std::string> tls_certificate;
  std::optional<std::string> tls_key;
  std::optional<std::string> max_connection_age;
  std::optional<std::string> max_connection_age_grace;
  std::optional<std::string> max_streams;
  bool no_cork = false;
  bool health = false;
};

void declare(CLI::App& app, texts& given) {
  app.add_option("--port", given.port, "Port to listen on; 0 takes a free one")->type_name("P");
  app.add_option("--host", given.host, "Address to listen on (default 127.0.0.1)")->type_name("ADDRESS");
  app.add_option("--fail-rate", given.fail_rate,
                 "Share of calls answered with --status, 0 to 1 (default 0; 1 when only --status is given)")
      ->type_name("F");
  app.add_option("--status", given.status, "Status of the calls that fail: a name or number (default UNAVAILABLE)")
      ->type_name("CODE");
  app.add_option("--delay", given.delay, "Wait before each answer, such as 5ms (rounded up to whole milliseconds)")
      ->type_name("D");
  app.add_option("--tail", given.tail, "Share of calls that wait longer, and how long: 1%x100ms (default none)")
      ->type_name("S%xD");
  app.add_option("--seed", given.seed, "Seed of the generator that picks the calls that fail (default 1)")
      ->type_name("N");
  app.add_option("--tls-cert", given.tls_certificate, "Serve TLS with the certificate in FILE (PEM)")
      ->type_name("FILE");
  app.add_option("--tls-key", given.tls_key, "Its key (PEM)")->type_name("FILE");
  app.add_option("--max-connection-age", given.max_connection_age,
                 "Tell a connection to go away after so long, give or take a tenth, such as 2s (default never)")
      ->type_name("D");
  app.add_option("--max-connection-age-grace", given.max_connection_age_grace,
                 "Then give its calls so long before it is cut off (default for ever)")
      ->type_name("D");
  app.add_option("--max-streams", given.max_streams, "Calls a connection may have in flight (default no limit)")
      ->type_name("N");
  app.add_flag("--health", given.health,
               "Serve health by the name millrace.echo.Echo too, and flip it on SIGUSR1: SERVING, NOT_SERVING");
  app.add_flag("--no-cork", given.no_cork, "Do not coalesce what the answers of a loop turn write");
}

std::string checked_host(std::string const& host) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  bool const v6 = host.find(':') != std::string::npos;
  bool const bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (host.empty() || host.find_first_not_of(letters) != std::string::npos || v6 != bracketed) {
    throw bench::bad_flag("--host", host, "allowed are a name, an IPv4 address, or an IPv6 address in brackets");
  }
  return host;
}

status_code checked_status(std::string const& text) {
  auto const code = status_code_from(text);
  if (!code || *code == status_code::ok) {
    throw bench::bad_flag("--status", text, "allowed are gRPC's codes but OK, such as UNAVAILABLE or 14");
  }
  return *code;
}

void check_tail(std::string const& text, options& made) {
  std::size_t const end = text.find("%x");
  try {
    made.tail_share = bench::real("--tail", text.substr(0, end), {0, 100}) / 100;
    made.tail_delay = bench::duration("--tail", end == text.npos ? "" : text.substr(end + 2), {0ns, 1h});
  } catch (std::invalid_argument const&) {
    throw bench::bad_flag("--tail", text, "allowed are a share up to 100% and a time up to 1h, such as 1%x100ms");
  }
}

void check_tls(texts const& given, options& made) {
  constexpr std::uint64_t most = 1u << 20u;
  if (given.tls_certificate.has_value() != given.tls_key.has_value()) {
    throw bench::bad_flag(given.tls_key ? "--tls-key" : "--tls-cert",
                          given.tls_key ? given.tls_key : given.tls_certificate,
                          "allowed are --tls-cert and --tls-key together");
  }
  if (!given.tls_key) return;
  made.tls_certificate = bench::contents("--tls-cert", *given.tls_certificate, most);
  made.tls_key = bench::contents("--tls-key", *given.tls_key, most);
}

void check_limits(texts const& given, options& made) {
  constexpr auto longest = 24h;  // what gRPC counts in an int of milliseconds has 24 days
  if (given.max_connection_age) {
    made.max_connection_age = bench::duration("--max-connection-age", *given.max_connection_age, {1ms, longest});
  }
  if (given.max_connection_age_grace) {
    made.max_connection_age_grace =
        bench::duration("--max-connection-age-grace", *given.max_connection_age_grace, {0ns, longest});
    if (!given.max_connection_age) {
      throw bench::bad_flag("--max-connection-age-grace", *given.max_connection_age_grace,
                            "allowed only with --max-connection-age");
    }
  }
  if (given.max_streams) {
    made.max_streams = static_cast<std::uint32_t>(
        bench::whole("--max-streams", *given.max_streams, {1, std::numeric_limits<std::int32_t>::max()}));
  }
}

options checked(texts const& given) {
  options made;
  made.host = checked_host(given.host);
  if (!given.port) throw bench::bad_flag("--port", std::nullopt, "it is required: 0 (one that is free) to 65535");
  made.port = static_cast<std::uint16_t>(bench::whole("--port", *given.port, {0, 65535}));
  if (given.status) {
    made.status = checked_status(*given.status);
    made.fail_rate = 1;
  }
  if (given.fail_rate) made.fail_rate = bench::real("--fail-rate", *given.fail_rate, {0, 1});
  if (given.delay) made.delay = bench::duration("--delay", *given.delay, {0ns, 1h});
  if (given.tail) check_tail(*given.tail, made);
  if (given.seed) {
    made.seed = bench::whole("--seed", *given.seed, {0, std::numeric_limits<std::uint64_t>::max()});
  }
  check_tls(given, made);
  check_limits(given, made);
  made.health = given.health;
  made.cork = !given.no_cork;
  return made;
}

}  // namespace

std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv) {
  CLI::App app("Answers any unary gRPC method with the bytes it got, and serves grpc.health.v1.", "millrace-echo");
  texts given;
  declare(app, given);
  try {
    if (auto help = bench::parse(app, argc, argv)) return *std::move(help);
    return checked(given);
  } catch (bench::bad_flag const& error) {
    return bench::refusal("millrace-echo", error);
  }
}

}  // namespace millrace::echo
