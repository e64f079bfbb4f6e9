// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include "client.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

namespace millrace::peers {
namespace {

using bench::bad_flag;

constexpr char const* default_page = "docs/benchmarks.md";

struct flags {
  std::optional<std::string> clients, servers, payloads, in_flight, rounds, json, docs, static_worker;
  bool quick = false;
  bool instructions = false;
  bool write_docs = false;
};

void declare(CLI::App& app, flags& given) {
  auto const value = [&app](char const* name, auto& to, char const* type, char const* what) {
    app.add_option(name, to, what)->type_name(type);
  };
  app.add_flag("--quick", given.quick,
               "A rougher run of under 50 s: 16 bytes; 1, 8, 64 and 512 in flight; 3 short rounds");
  value("--clients", given.clients, "A,B,…",
        "Which clients (default: all but those of another kind: *-pool, attempt, millrace-transparent-core); textbook "
        "is always among them");
  value("--server", given.servers, "A,B",
        "Which servers: plain (gRPC's asynchronous example), canned (a bare responder), echo (millrace-echo, whose "
        "replies are coalesced); default plain,canned");
  value("--payload", given.payloads, "N,…", "Bytes of text in each message (default 16,1024,4096)");
  value("--in-flight", given.in_flight, "N,…", "Calls in flight (default 1,2,4,8,16,32,64,512)");
  value("--rounds", given.rounds, "N", "Times each client is measured in each cell (default 5)");
  app.add_flag("--instructions", given.instructions,
               "Also count instructions a call, under valgrind; takes much longer");
  value("--static", given.static_worker, "FILE",
        "Also measure the clients of this bench-peers, whose gRPC is linked statically, as …-static");
  value("--json", given.json, "FILE", "Write the figures there as JSON; - is stdout, and the tables go to stderr");
  app.add_flag("--write-docs", given.write_docs, "Write docs/benchmarks.md from this run");
  value("--docs-file", given.docs, "FILE", "With --write-docs: write there instead");
}

std::vector<std::string> words(std::string const& list) {
  std::vector<std::string> made;
  for (std::size_t at = 0; at <= list.size();) {
    auto const comma = std::min(list.find(',', at), list.size());
    made.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return made;
}

std::vector<std::string> names_of(std::string_view flag, std::string const& list,
                                  std::vector<std::string> const& known) {
  auto const asked = words(list);
  for (std::string const& one : asked) {
    if (std::find(known.begin(), known.end(), one) == known.end()) {
      throw bad_flag(flag, one, fmt::format("allowed are {}", fmt::join(known, ", ")));
    }
  }
  // in the order of the tables, each once
  std::vector<std::string> made = known;
  std::erase_if(made,
                [&](std::string const& one) { return std::find(asked.begin(), asked.end(), one) == asked.end(); });
  return made;
}

template <class Number>
std::vector<Number> numbers_of(std::string_view flag, std::string const& list, bench::whole_range allowed) {
  std::vector<Number> made;
  for (std::string const& one : words(list)) made.push_back(static_cast<Number>(bench::whole(flag, one, allowed)));
  std::sort(made.begin(), made.end());
  made.erase(std::unique(made.begin(), made.end()), made.end());
  return made;
}

std::vector<std::string> checked_clients(std::optional<std::string> const& list) {
  std::vector<std::string> known;
  for (client const& one : all_clients()) known.emplace_back(one.name);
  if (!list) {
    std::erase_if(known, [](std::string const& one) { return find_client(one)->when == asked::by_name; });
    return known;
  }
  auto made = names_of("--clients", *list, known);
  if (made.front() != known.front()) made.insert(made.begin(), known.front());
  return made;
}

std::string checked_program(std::string_view flag, std::string const& path) {
  if (access(path.c_str(), X_OK) == 0 && !std::filesystem::is_directory(path)) return path;
  throw bad_flag(flag, path, "allowed is the path of a program: a bench-peers of another build");
}

options checked(flags const& given) {
  options made;
  made.quick = given.quick;
  made.instructions = given.instructions;
  made.clients = checked_clients(given.clients);
  made.servers = names_of("--server", given.servers.value_or("plain,canned"), {"plain", "canned", "echo"});
  made.payloads = numbers_of<std::uint32_t>("--payload", given.payloads.value_or(given.quick ? "16" : "16,1024,4096"),
                                            {0, 1u << 20u});
  made.in_flight = numbers_of<unsigned>(
      "--in-flight", given.in_flight.value_or(given.quick ? "1,8,64,512" : "1,2,4,8,16,32,64,512"), {1, 10'000});
  made.rounds = given.quick ? 3 : 5;
  if (given.rounds) made.rounds = static_cast<unsigned>(bench::whole("--rounds", *given.rounds, {1, 1000}));
  if (given.static_worker) made.static_worker = checked_program("--static", *given.static_worker);
  made.json = given.json.value_or("");
  if (given.write_docs || given.docs) made.docs = given.docs.value_or(default_page);
  return made;
}

}  // namespace

std::variant<options, bench::exit_now> parse_options(int argc, char const* const* argv) {
  CLI::App app("The same unary echo work by millrace and by other ways of calling gRPC, measured in turns.",
               "bench-peers");
  flags given;
  declare(app, given);
  try {
    if (auto help = bench::parse(app, argc, argv)) return *std::move(help);
    options made = checked(given);
    made.given = fmt::format("{}", fmt::join(argv + 1, argv + argc, " "));
    return made;
  } catch (bad_flag const& error) {
    return bench::refusal("bench-peers", error);
  }
}

}  // namespace millrace::peers
