// SPDX-License-Identifier: Apache-2.0
#include <load/configure.hpp>
#include <load/options.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> const least = {"--endpoints", "127.0.0.1:1,[::1]:2,unix:/run/x", "--method", "/a.B/C"};

std::variant<load::options, bench::exit_now> parse(std::vector<std::string> const& args) {
  std::vector<char const*> argv = {"millrace-load"};
  for (auto const& each : args) argv.push_back(each.c_str());
  return load::parse_options(static_cast<int>(argv.size()), argv.data());
}

load::options good(std::vector<std::string> more) {
  more.insert(more.begin(), least.begin(), least.end());
  auto parsed = parse(more);
  if (auto const* const refused = std::get_if<bench::exit_now>(&parsed)) FAIL(refused->text);
  return std::get<load::options>(parsed);
}

// the one line that a bad command line gets
std::string refusal(std::vector<std::string> const& args) {
  auto const parsed = parse(args);
  if (!std::holds_alternative<bench::exit_now>(parsed)) return "accepted";
  auto const& [status, text] = std::get<bench::exit_now>(parsed);
  CHECK(status == 2);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.back() == '\n');
  CHECK(text.find("millrace-load: ") == 0);
  return text;
}

std::string refusal_with(std::vector<std::string> more) {
  more.insert(more.begin(), least.begin(), least.end());
  return refusal(more);
}

bool names(std::string const& text, std::string const& flag, std::string const& value) {
  INFO(text);
  CHECK(text.find(flag + " '" + value + "'") != std::string::npos);
  CHECK(text.find("allowed") != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("options: endpoints and a method are enough, the rest has defaults", "[load]") {
  auto const made = good({});
  CHECK(made.endpoints == std::vector<std::string>{"127.0.0.1:1", "[::1]:2", "unix:/run/x"});
  CHECK(made.method == "/a.B/C");
  CHECK(made.payload == std::string(16, '\0'));
  CHECK(made.connections == 3);
  CHECK(made.concurrency == 64);
  CHECK_FALSE(made.rate);
  CHECK(made.duration == 10s);
  CHECK_FALSE(made.calls);
  CHECK(made.timeout == 1s);
  CHECK(made.attempts == 3);
  CHECK(made.balance == "round_robin");
  CHECK(made.json.empty());
  CHECK_FALSE((made.no_cork || made.allow_failures || made.quiet || made.narrate || made.wait_for_ready));
}

TEST_CASE("options: each flag sets what it names", "[load]") {
  auto const made = good({"--payload-bytes",  "0",
                          "--connections",    "12",
                          "--rate",           "2500.5",
                          "--calls",          "1000",
                          "--timeout",        "250ms",
                          "--attempts",       "5",
                          "--balance",        "least_request",
                          "--json",           "-",
                          "--allow-failures", "--quiet",
                          "--no-cork",        "--narrate",
                          "--wait-for-ready"});
  CHECK(made.payload.empty());
  CHECK(made.connections == 12);
  CHECK(made.rate == 2500.5);
  CHECK(made.calls == 1000u);
  CHECK_FALSE(made.duration);
  CHECK(made.timeout == 250ms);
  CHECK(made.attempts == 5);
  CHECK(made.balance == "least_request");
  CHECK(made.json == "-");
  CHECK((made.no_cork && made.allow_failures && made.quiet && made.narrate && made.wait_for_ready));
  CHECK(good({"--concurrency=8"}).concurrency == 8);
}

TEST_CASE("options: what a pool does beside balancing", "[load]") {
  auto const plain = good({});
  CHECK(plain.resolver.empty());
  CHECK(plain.max_slots == 0);
  CHECK(plain.watermark == 0);
  CHECK_FALSE(plain.health);
  CHECK_FALSE(plain.outlier);
  auto const made = good({"--max-slots", "9", "--watermark", "50", "--health", "", "--outlier"});
  CHECK(made.max_slots == 9);
  CHECK(made.watermark == 50);
  CHECK(made.health == "");
  CHECK(made.outlier);
  CHECK(names(refusal({"--method", "/a/b", "--endpoints", "a:1,b:1", "--max-slots", "1"}), "--max-slots", "1"));
  CHECK(names(refusal({"--method", "/a/b", "--endpoints", "a:1", "--watermark", "0"}), "--watermark", "0"));
}

TEST_CASE("options: a resolver stands in for the endpoints", "[load]") {
  auto const parsed = parse({"--method", "/a/b", "--resolver", "dns:///a:1"});
  auto const& made = std::get<load::options>(parsed);
  CHECK(made.resolver == "dns:///a:1");
  CHECK(made.endpoints.empty());
  CHECK(made.connections == 0);
  CHECK(names(refusal({"--method", "/a/b", "--resolver", "nowhere"}), "--resolver", "nowhere"));
  CHECK(names(refusal({"--method", "/a/b", "--resolver", "a:1", "--endpoints", "a:1"}), "--resolver", "a:1"));
}

TEST_CASE("options: every policy of the engine can be asked for, and keys for those that hash", "[load]") {
  for (std::string name : {"round_robin", "least_request", "peak_ewma", "pick_first", "ring_hash", "maglev"}) {
    CHECK(good({"--balance", name.c_str()}).balance == name);
  }
  CHECK(good({"--balance", "maglev"}).hash_keys == 0);
  CHECK(good({"--balance", "maglev", "--hash-keys", "1000"}).hash_keys == 1000);
}

TEST_CASE("options: pick_first has one connection, whatever the number of endpoints, unless told otherwise", "[load]") {
  auto const made = good({"--balance", "pick_first"});
  CHECK(made.connections == 1);
  CHECK(load::pool_of(made, nullptr).min_slots == 1);
  CHECK(load::pool_of(made, nullptr).max_slots == 1);
  CHECK(good({"--balance", "pick_first", "--connections", "2"}).connections == 2);
  CHECK(names(refusal_with({"--balance", "pick_first", "--connections", "0"}), "--connections", "0"));
}

TEST_CASE("options: the payload file's bytes are sent as they are", "[load]") {
  std::string const path = "options_test.payload";
  std::string const bytes("\x00\xff\n\r\x08\x01z", 7);
  std::ofstream(path, std::ios::binary) << bytes;
  CHECK(good({"--payload-file", path}).payload == bytes);
  names(refusal_with({"--payload-file", path, "--payload-bytes", "3"}), "--payload-file", path);
  std::remove(path.c_str());
  names(refusal_with({"--payload-file", path}), "--payload-file", path);
  names(refusal_with({"--payload-file", "/"}), "--payload-file", "/");
}

TEST_CASE("options: --tls-ca is read, or refused", "[load]") {
  std::string const path = "options_test.pem";
  std::ofstream(path) << "a certificate";
  CHECK(good({"--tls-ca", path}).tls_ca == "a certificate");
  CHECK(good({}).tls_ca.empty());
  std::remove(path.c_str());
  names(refusal_with({"--tls-ca", path}), "--tls-ca", path);
}

TEST_CASE("options: each bad value is refused in one line that names flag, value and what is allowed", "[load]") {
  struct row {
    char const* flag;
    char const* value;
  };
  for (auto const& [flag, value] : std::vector<row>{
           {"--payload-bytes", "-1"},
           {"--payload-bytes", "1k"},
           {"--payload-bytes", "99999999999"},
           {"--connections", "0"},
           {"--connections", "2"},
           {"--connections", "x"},
           {"--concurrency", "0"},
           {"--concurrency", "-5"},
           {"--concurrency", "1.5"},
           {"--concurrency", ""},
           {"--rate", "0"},
           {"--rate", "-3"},
           {"--rate", "nan"},
           {"--rate", "inf"},
           {"--rate", "fast"},
           {"--duration", "10"},
           {"--duration", "0s"},
           {"--duration", "-1s"},
           {"--duration", "1sec"},
           {"--calls", "0"},
           {"--calls", "many"},
           {"--timeout", "0"},
           {"--timeout", "soon"},
           {"--timeout", "2h"},
           {"--attempts", "0"},
           {"--attempts", "6"},
           {"--hedge", "soon"},
           {"--hedge", "p0"},
           {"--hedge", "p100"},
           {"--hedge", "-1ms"},
           {"--balance", "random"},
           {"--hash-keys", "0"},
           {"--hash-keys", "7"},
           {"--json", "/no/such/dir/x"},
           {"--json", "/"},
           {"--frobnicate", "7"},
           {"--duration", "1s\n2s"},
           {"--payload-file", "/no/such"},
       }) {
    INFO(flag << ' ' << value);
    std::string shown = value;
    if (auto const at = shown.find('\n'); at != std::string::npos) shown.replace(at, 1, "\\x0a");
    CHECK(names(refusal_with({flag, value}), flag, shown));
  }
}

TEST_CASE("options: endpoints are host:port, [v6]:port or unix:path, each once", "[load]") {
  for (auto const* const text :
       {"a:1", "a.b-c_d:65535", "127.0.0.1:50051", "[::1]:2", "[fe80::1]:443", "unix:/tmp/s"}) {
    INFO(text);
    CHECK(load::is_endpoint(text));
  }
  for (auto const* const text : {"", "a", "a:", ":1", "a:0", "a:65536", "a:x", "a:-1", "::1:5", "[::1]", "[::g]:1",
                                 "[]:1", "unix:", "a b:1", "http://a:1", "dns:///a:1", "a:1:2"}) {
    INFO(text);
    CHECK_FALSE(load::is_endpoint(text));
    CHECK(names(refusal({"--method", "/a/b", "--endpoints", text}), "--endpoints", text));
  }
  CHECK(names(refusal({"--method", "/a/b", "--endpoints", "a:1,,b:2"}), "--endpoints", ""));
  CHECK(names(refusal({"--method", "/a/b", "--endpoints", "a:1,b:2,a:1"}), "--endpoints", "a:1"));
}

TEST_CASE("options: a method has a service and a name behind a slash each", "[load]") {
  CHECK(load::is_method("/pkg.Service/Method"));
  for (auto const* const text : {"", "/", "//", "a/b", "/a", "/a/", "//b", "/a/b/c", "/a b/c", "pkg.Service.Method"}) {
    INFO(text);
    CHECK_FALSE(load::is_method(text));
    CHECK(names(refusal({"--endpoints", "a:1", "--method", text}), "--method", text));
  }
}

TEST_CASE("options: flags that exclude each other are not given together", "[load]") {
  names(refusal_with({"--duration", "1s", "--calls", "5"}), "--calls", "5");
  names(refusal_with({"--rate", "10", "--concurrency", "5"}), "--rate", "10");
}

TEST_CASE("options: what is required, has no value or is given twice is named", "[load]") {
  CHECK(refusal({"--method", "/a/b"}).find("--endpoints: it is required") != std::string::npos);
  CHECK(refusal({"--endpoints", "a:1"}).find("--method: it is required") != std::string::npos);
  CHECK(refusal_with({"--timeout"}).find("--timeout: allowed is") != std::string::npos);
  CHECK(refusal_with({"--timeout", "1s", "--timeout", "2s"}).find("--timeout: allowed is") != std::string::npos);
  CHECK(refusal_with({"stray"}).find("stray: there is no such flag") != std::string::npos);
}

TEST_CASE("options: --help is the text and status 0, and names every flag", "[load]") {
  auto const parsed = parse({"--help"});
  auto const& [status, text] = std::get<bench::exit_now>(parsed);
  CHECK(status == 0);
  for (auto const* const flag :
       {"--endpoints",   "--method",  "--payload-bytes", "--payload-file",   "--connections",
        "--concurrency", "--rate",    "--duration",      "--calls",          "--timeout",
        "--attempts",    "--balance", "--hash-keys",     "--resolver",       "--max-slots",
        "--watermark",   "--health",  "--outlier",       "--json",           "--allow-failures",
        "--quiet",       "--no-cork", "--tls-ca",        "--wait-for-ready", "--hedge"}) {
    INFO(flag);
    CHECK(text.find(flag) != std::string::npos);
  }
}

TEST_CASE("options: parameters of the pool come from a file, and flags win over them", "[load]") {
  std::string const path = "options_test.config.json";
  auto const write = [&](char const* json) { std::ofstream(path) << json; };
  write(R"({"target": "c:1", "min_slots": 3, "max_slots": 9, "balance": "maglev", "max_calls_per_slot": 7})");
  auto const alone = parse({"--config", path, "--method", "/a.B/C"});
  REQUIRE(std::holds_alternative<load::options>(alone));
  pool_params const from_file = load::pool_of(std::get<load::options>(alone), nullptr);
  CHECK(from_file.target == "c:1");
  CHECK(from_file.min_slots == 3);
  CHECK(from_file.max_slots == 9);
  CHECK(from_file.balance == "maglev");
  CHECK(from_file.max_calls_per_slot == 7);

  auto const asked = good({"--config", path, "--balance", "pick_first", "--connections", "4"});
  pool_params const from_flags = load::pool_of(asked, nullptr);
  CHECK(from_flags.target == "127.0.0.1:1,[::1]:2,unix:/run/x");
  CHECK(from_flags.min_slots == 4);
  CHECK(from_flags.balance == "pick_first");
  CHECK(from_flags.max_calls_per_slot == 7);
  CHECK(load::explained(asked).find("pool_params.max_calls_per_slot") != std::string::npos);

  write(R"({"balance": "pick_first"})");
  CHECK(good({"--config", path}).connections == 1);
  CHECK(good({"--config", path, "--balance", "round_robin"}).connections == 3);

  write(R"({"balanse": "maglev"})");
  names(refusal_with({"--config", path}), "--config", path);
  CHECK_THAT(refusal_with({"--config", path}), Catch::Contains("did you mean balance?"));
  write("{}");
  CHECK_THAT(refusal({"--config", path, "--method", "/a.B/C"}), Catch::Contains("--endpoints: it is required"));
  std::remove(path.c_str());
  names(refusal_with({"--config", path}), "--config", path);
}

TEST_CASE("options: hedges come after a time or a percentile", "[load]") {
  auto const asked = [](char const* when) {
    return std::get<load::options>(parse({"--endpoints", "a:1", "--method", "/a.B/C", "--hedge", when}));
  };
  CHECK(asked("20ms").hedge_after == std::chrono::nanoseconds(20'000'000));
  CHECK_FALSE(asked("20ms").hedge_percentile);
  CHECK(asked("p99.5").hedge_percentile == 99.5);
  CHECK_FALSE(asked("p95").hedge_after);
  auto const client = load::client_of(asked("p95"));
  CHECK(client.idempotent);
  REQUIRE(client.hedging);
  CHECK_FALSE(client.hedging->delay);
  CHECK(client.hedging->percentile == 95);
  CHECK(client.hedging->max_attempts == 2);
  CHECK(load::client_of(good({"--hedge", "p95", "--attempts", "5"})).hedging->max_attempts == 5);
  CHECK_FALSE(load::client_of(std::get<load::options>(parse({"--endpoints", "a:1", "--method", "/a.B/C"}))).hedging);
}
