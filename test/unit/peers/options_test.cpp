// SPDX-License-Identifier: Apache-2.0
#include <peers/client.hpp>
#include <peers/options.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace millrace;
using strings = std::vector<std::string>;

namespace {

std::variant<peers::options, bench::exit_now> parse(strings const& args) {
  std::vector<char const*> argv = {"bench-peers"};
  for (auto const& each : args) argv.push_back(each.c_str());
  return peers::parse_options(static_cast<int>(argv.size()), argv.data());
}

peers::options good(strings const& args) {
  auto parsed = parse(args);
  if (auto const* const refused = std::get_if<bench::exit_now>(&parsed)) FAIL(refused->text);
  return std::get<peers::options>(parsed);
}

// the one line that a bad command line gets
std::string refusal(strings const& args) {
  auto const parsed = parse(args);
  if (!std::holds_alternative<bench::exit_now>(parsed)) return "accepted";
  auto const& [status, text] = std::get<bench::exit_now>(parsed);
  CHECK(status == 2);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  return text;
}

// without asio-grpc, which only some builds have
strings always_there(strings clients) {
  std::erase(clients, "asio-grpc");
  return clients;
}

}  // namespace

TEST_CASE("peers: a run without flags is the whole comparison", "[peers]") {
  auto const made = good({});
  CHECK(always_there(made.clients) ==
        strings{"textbook", "callback-api", "sync", "core", "millrace", "millrace-coro", "millrace-nocork"});
  CHECK(made.servers == strings{"plain", "canned"});
  CHECK(made.payloads == std::vector<std::uint32_t>{16, 1024, 4096});
  CHECK(made.in_flight == std::vector<unsigned>{1, 2, 4, 8, 16, 32, 64, 512});
  CHECK(made.rounds == 5);
  CHECK(!made.quick);
  CHECK(made.json.empty());
  CHECK(made.docs.empty());
}

TEST_CASE("peers: a quick run has fewer cells and rounds, and what is given besides holds", "[peers]") {
  auto const made = good({"--quick"});
  CHECK(made.quick);
  CHECK(always_there(made.clients) == always_there(good({}).clients));
  CHECK(made.payloads == std::vector<std::uint32_t>{16});
  CHECK(made.in_flight == std::vector<unsigned>{1, 8, 64, 512});
  CHECK(made.rounds == 3);
  CHECK(good({"--quick", "--rounds", "7", "--payload", "0"}).rounds == 7);
  CHECK(good({"--quick", "--payload", "0"}).payloads == std::vector<std::uint32_t>{0});
}

TEST_CASE("peers: clients are in the order of the tables, each once, textbook always among them", "[peers]") {
  CHECK(good({"--clients", "millrace,core,millrace"}).clients == strings{"textbook", "core", "millrace"});
  CHECK(good({"--clients", "textbook"}).clients == strings{"textbook"});
}

TEST_CASE("peers: a client of another kind is measured when it is named", "[peers]") {
  for (auto const* const name :
       {"textbook-pool", "callback-api-pool", "sync-pool", "attempt", "millrace-transparent-core"}) {
    CHECK(good({"--clients", name}).clients == strings{"textbook", name});
    CHECK(refusal({"--clients", std::string(name) + "s"}).find(name) != std::string::npos);
  }
}

TEST_CASE("peers: every client can be measured at 512 calls in flight", "[peers]") {
  for (auto const& one : peers::all_clients()) {
    INFO(one.name);
    CHECK(one.most_in_flight >= 512);
  }
}

TEST_CASE("peers: numbers are sorted, each once", "[peers]") {
  CHECK(good({"--in-flight", "64,1,64"}).in_flight == std::vector<unsigned>{1, 64});
  CHECK(good({"--payload", "4096,0"}).payloads == std::vector<std::uint32_t>{0, 4096});
}

TEST_CASE("peers: the page is written where it is asked for", "[peers]") {
  CHECK(good({"--write-docs"}).docs == "docs/benchmarks.md");
  CHECK(good({"--docs-file", "/tmp/x.md"}).docs == "/tmp/x.md");
  CHECK(good({"--json", "-", "--quick"}).given == "--json - --quick");
}

TEST_CASE("peers: what is not allowed is refused in a line with flag, value and what is allowed", "[peers]") {
  struct bad {
    strings args;
    char const* value;
    char const* allowed;
  };
  for (auto const& one :
       {bad{{"--clients", "textbook,nobody"}, "nobody", "allowed are textbook, "},
        bad{{"--clients", ""}, "", "allowed are"},
        bad{{"--server", "plain,moon"}, "moon", "allowed are plain, canned, echo"},
        bad{{"--payload", "1048577"}, "1048577", "from 0 to 1048576"},
        bad{{"--in-flight", "0"}, "0", "from 1 to 10000"}, bad{{"--in-flight", "1,,2"}, "", "from 1 to 10000"},
        bad{{"--rounds", "1001"}, "1001", "from 1 to 1000"},
        bad{{"--static", "/nowhere/bench-peers"}, "/nowhere/bench-peers", "allowed is the path of a program"},
        bad{{"--static", "/"}, "/", "allowed is the path of a program"}, bad{{"--slow"}, "--slow", "no such flag"}}) {
    auto const said = refusal(one.args);
    INFO(said);
    CHECK(said.find(one.args.front()) != std::string::npos);
    CHECK(said.find(one.value) != std::string::npos);
    CHECK(said.find(one.allowed) != std::string::npos);
  }
}
