// SPDX-License-Identifier: Apache-2.0
// bench-streams: one stream of millrace beside one of gRPC's asynchronous API, in turns.
#include "client.hpp"
#include "report.hpp"
#include "server.hpp"

#include <support/backend.hpp>
#include <support/flags.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
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
  std::string json{};  // a file, `-` for stdout, empty for nowhere
};

constexpr std::array<std::size_t, 3> sizes = {16, 1024, std::size_t{64} * 1024};

options parse(int argc, char** argv) {
  CLI::App app("Messages a second over one stream, of millrace and of gRPC's asynchronous API, in turns.",
               "bench-streams");
  std::string rounds = "5", window = "500ms";
  std::optional<std::string> json;
  app.add_option("--rounds", rounds, "Times each is measured (default 5)")->type_name("N");
  app.add_option("--window", window, "How long each is measured (default 500ms)")->type_name("D");
  app.add_option("--json", json, "Write the figures there as JSON; - is stdout, and the table goes to stderr")
      ->type_name("FILE");
  if (auto const help = bench::parse(app, argc, argv)) std::exit(bench::leave(*help));
  return {.rounds = static_cast<unsigned>(bench::whole("--rounds", rounds, {1, 1000})),
          .window = bench::duration("--window", window, {50ms, 1min}),
          .json = json ? bench::output("--json", *json) : ""};
}

std::string target_of(bench::child& server) {
  std::string const line = server.read_line(std::chrono::steady_clock::now() + 10s).value_or("");
  auto const at = line.find("127.0.0.1:");
  if (at == line.npos) throw std::runtime_error("the server did not start: " + server.fate());
  return line.substr(at);
}

std::vector<streams::row> empty_rows() {
  std::vector<streams::row> rows;
  for (auto const& of : streams::patterns) {
    for (std::size_t const bytes : sizes) rows.push_back({.of = of, .bytes = bytes});
  }
  return rows;
}

void measure(streams::row& one, options const& asked, bool engine_first, streams::client& engine,
             streams::client& plain) {
  streams::workload const what{.of = one.of, .message_bytes = one.bytes, .warm_up = 100ms, .window = asked.window};
  if (engine_first) one.engine.push_back(engine.run(what));
  one.plain.push_back(plain.run(what));
  if (!engine_first) one.engine.push_back(engine.run(what));
}

bool publish(options const& asked, streams::report const& all) {
  fmt::print(asked.json == "-" ? stderr : stdout, "{}", to_table(all));
  return asked.json.empty() || bench::write_text(to_json(all), asked.json);
}

int compare(options const& asked) {
  bench::child server({bench::own_program().string(), "--serve"}, std::nullopt);
  std::string const target = target_of(server);
  auto const engine = streams::make_engine(target);
  auto const plain = streams::make_plain(target);
  char const* const commit = std::getenv("MILLRACE_COMMIT");  // from ./dev bench
  streams::report all{.commit = commit == nullptr ? "unknown" : commit,
                      .rounds = asked.rounds,
                      .window_ms = std::chrono::duration<double, std::milli>(asked.window).count(),
                      .rows = empty_rows()};
  for (unsigned round = 0; round < asked.rounds; ++round) {
    fmt::print(stderr, "bench-streams: round {} of {}\n", round + 1, asked.rounds);
    for (streams::row& one : all.rows) {
      if (bench::interrupted()) return 130;
      // who goes first changes, so that neither always finds what the other left
      measure(one, asked, round % 2 == 0, *engine, *plain);
    }
  }
  if (publish(asked, all)) return 0;
  fmt::print(stderr, "bench-streams: --json '{}': it could not be written\n", asked.json);
  return 1;
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
