// SPDX-License-Identifier: Apache-2.0
// bench-streams: one stream of millrace beside one of gRPC's asynchronous API, in turns.
#include "client.hpp"
#include "server.hpp"

#include <support/backend.hpp>
#include <support/flags.hpp>
#include <support/median.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

struct options {
  unsigned rounds = 5;
  std::chrono::nanoseconds window = 500ms;
};

constexpr std::array<std::size_t, 3> sizes = {16, 1024, std::size_t{64} * 1024};

/// What one pattern and size gave, round by round.
struct row {
  streams::named_pattern of;
  std::size_t bytes;
  std::vector<double> engine{};
  std::vector<double> plain{};
};

options parse(int argc, char** argv) {
  CLI::App app("Messages a second over one stream, of millrace and of gRPC's asynchronous API, in turns.",
               "bench-streams");
  std::string rounds = "5", window = "500ms";
  app.add_option("--rounds", rounds, "Times each is measured (default 5)")->type_name("N");
  app.add_option("--window", window, "How long each is measured (default 500ms)")->type_name("D");
  if (auto const help = bench::parse(app, argc, argv)) std::exit(bench::leave(*help));
  return {.rounds = static_cast<unsigned>(bench::whole("--rounds", rounds, {1, 1000})),
          .window = bench::duration("--window", window, {50ms, 1min})};
}

std::string target_of(bench::child& server) {
  std::string const line = server.read_line(std::chrono::steady_clock::now() + 10s).value_or("");
  auto const at = line.find("127.0.0.1:");
  if (at == line.npos) throw std::runtime_error("the server did not start: " + server.fate());
  return line.substr(at);
}

double mib(double messages, std::size_t bytes) { return messages * static_cast<double>(bytes) / (1024 * 1024); }

void print(std::vector<row> const& rows) {
  fmt::print("| pattern | message | millrace msg/s | MiB/s | gRPC CQ msg/s | MiB/s | ratio |\n");
  fmt::print("|---|---:|---:|---:|---:|---:|---:|\n");
  for (row const& one : rows) {
    std::vector<double> ratios;
    for (std::size_t at = 0; at < one.engine.size(); ++at) ratios.push_back(one.engine[at] / one.plain[at]);
    double const engine = bench::median(one.engine), plain = bench::median(one.plain);
    fmt::print("| {} | {} B | {:.0f} | {:.1f} | {:.0f} | {:.1f} | {:.2f} |\n", one.of.name, one.bytes, engine,
               mib(engine, one.bytes), plain, mib(plain, one.bytes), bench::median(std::move(ratios)));
  }
}

int compare(options const& asked) {
  bench::child server({bench::own_program().string(), "--serve"}, std::nullopt);
  std::string const target = target_of(server);
  auto const engine = streams::make_engine(target);
  auto const plain = streams::make_plain(target);
  std::vector<row> rows;
  for (auto const& of : streams::patterns) {
    for (std::size_t const bytes : sizes) rows.push_back({.of = of, .bytes = bytes});
  }
  for (unsigned round = 0; round < asked.rounds; ++round) {
    fmt::print(stderr, "bench-streams: round {} of {}\n", round + 1, asked.rounds);
    for (row& one : rows) {
      if (bench::interrupted()) return 130;
      streams::workload const what{.of = one.of, .message_bytes = one.bytes, .warm_up = 100ms, .window = asked.window};
      // who goes first changes, so that neither always finds what the other left
      if (round % 2 == 0) one.engine.push_back(engine->run(what));
      one.plain.push_back(plain->run(what));
      if (round % 2 != 0) one.engine.push_back(engine->run(what));
    }
  }
  print(rows);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    if (argc > 1 && std::string_view(argv[1]) == "--serve") streams::serve();
    bench::catch_interrupts();
    return compare(parse(argc, argv));
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-streams", error));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-streams: {}\n", error.what());
    return 1;
  }
}
