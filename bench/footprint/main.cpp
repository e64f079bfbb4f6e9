// SPDX-License-Identifier: Apache-2.0
// bench-footprint: the memory that calls and connections take, and the time from a process's start to its first answer.
#include "worker.hpp"

#include <support/backend.hpp>
#include <support/flags.hpp>
#include <support/machine.hpp>
#include <support/median.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

struct options {
  unsigned rounds = 3;
  unsigned starts = 11;
  unsigned slots = 100;
};

constexpr std::array<std::uint64_t, 2> call_counts = {10'000, 100'000};
constexpr std::array<char const*, 2> starters = {"footprint-start-stub", "footprint-start-millrace"};

options parse(int argc, char** argv) {
  CLI::App app("Memory of pending calls and of connections, and the time to the first answer.", "bench-footprint");
  std::string rounds = "3", starts = "11", slots = "100";
  app.add_option("--rounds", rounds, "Times memory is measured (default 3)")->type_name("N");
  app.add_option("--starts", starts, "Times each program is started (default 11)")->type_name("N");
  app.add_option("--slots", slots, "Connections that are opened (default 100)")->type_name("N");
  if (auto const help = bench::parse(app, argc, argv)) std::exit(bench::leave(*help));
  return {.rounds = static_cast<unsigned>(bench::whole("--rounds", rounds, {1, 1000})),
          .starts = static_cast<unsigned>(bench::whole("--starts", starts, {1, 1000})),
          .slots = static_cast<unsigned>(bench::whole("--slots", slots, {1, 10'000}))};
}

bool counts_calls(footprint::kind const& one) {
  std::string_view const name(one.name);
  return name.starts_with("pending") || name.starts_with("queued");
}

std::vector<std::uint64_t> counts_of(footprint::kind const& one, options const& asked) {
  if (counts_calls(one)) return {call_counts.begin(), call_counts.end()};
  return {asked.slots};
}

// a server of its own each time: it holds on to calls whose client is gone
footprint::bytes_each measure(footprint::kind const& which, std::uint64_t count) {
  bench::backend server("echo", {}, {"--delay", "1h"});
  std::vector<std::string> command{bench::own_program().string()};
  for (auto& each : footprint::to_arguments({which.name, server.address(), count})) command.push_back(std::move(each));
  bench::child worker(command, {});
  auto const line = worker.read_line(std::chrono::steady_clock::now() + 6min).value_or("");
  if (auto const seen = footprint::parse_bytes(line)) return *seen;
  throw std::runtime_error(fmt::format("{}, {}: it failed; its server {}", which.name, count, server.fate()));
}

void measure_memory(options const& asked) {
  std::map<std::pair<std::string, std::uint64_t>, std::pair<std::vector<double>, std::vector<double>>> all;
  for (unsigned round = 0; round < asked.rounds; ++round) {
    fmt::print(stderr, "bench-footprint: memory, round {} of {}\n", round + 1, asked.rounds);
    for (footprint::kind const& each : footprint::kinds()) {
      for (std::uint64_t const count : counts_of(each, asked)) {
        if (bench::interrupted()) throw std::runtime_error("interrupted");
        auto const seen = measure(each, count);
        auto& [heap, resident] = all[{each.name, count}];
        heap.push_back(seen.heap);
        resident.push_back(seen.resident);
      }
    }
  }
  fmt::print("| bytes each | of how many | heap | resident |\n|---|---:|---:|---:|\n");
  for (footprint::kind const& each : footprint::kinds()) {
    for (std::uint64_t const count : counts_of(each, asked)) {
      auto const& [heap, resident] = all.at({each.name, count});
      fmt::print("| {} | {} | {:.0f} | {:.0f} |\n", each.what, count, bench::median(heap), bench::median(resident));
    }
  }
}

// ms from before fork to the first answer
double time_start(std::string const& program, std::string const& target) {
  auto const began = std::chrono::steady_clock::now();
  bench::child one({(bench::own_program().parent_path() / program).string(), target}, {});
  if (one.read_line(began + 20s) != "answered") throw std::runtime_error(program + " failed");
  double const ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  one.wait(began + 30s);
  return ms;
}

void measure_starts(options const& asked) {
  bench::backend const server("echo");
  std::array<std::vector<double>, starters.size()> all;
  std::vector<double> ratios;
  for (unsigned round = 0; round < asked.starts; ++round) {
    for (std::size_t i = 0; i < starters.size(); ++i) all[i].push_back(time_start(starters[i], server.address()));
    ratios.push_back(all[1].back() / all[0].back());
  }
  fmt::print("\n| start to first answer | ms | of the stub |\n|---|---:|---:|\n");
  fmt::print("| plain stub | {:.1f} | 1.00 |\n| millrace | {:.1f} | {:.2f} |\n", bench::median(all[0]),
             bench::median(all[1]), bench::median(ratios));
}

}  // namespace

int main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    if (argc > 1 && std::string_view(argv[1]) == "--worker") return footprint::work_off(argc, argv);
    auto const asked = parse(argc, argv);
    bench::catch_interrupts();
    fmt::print("{}\n\n", bench::to_text(bench::machine::here()));
    measure_memory(asked);
    measure_starts(asked);
    return 0;
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-footprint", error));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-footprint: {}\n", error.what());
    return 1;
  }
}
