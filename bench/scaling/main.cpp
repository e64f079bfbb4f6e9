// SPDX-License-Identifier: Apache-2.0
// bench-scaling: one loop, two loops of one process, and two processes with a loop each.
#include <peers/client.hpp>
#include <peers/worker.hpp>

#include <support/backend.hpp>
#include <support/flags.hpp>
#include <support/machine.hpp>
#include <support/median.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

struct options {
  unsigned rounds = 7;
  unsigned in_flight = 64;
  std::chrono::nanoseconds window = 1s;
};

struct shape {
  char const* name;
  unsigned processes;
  unsigned threads;  // of each process
};

constexpr std::array<shape, 3> shapes = {{{"1 loop", 1, 1}, {"2 loops, 1 process", 1, 2}, {"2 processes", 2, 1}}};
constexpr std::array<char const*, 2> servers = {"canned", "echo"};
constexpr std::array<char const*, 2> clients = {"millrace", "textbook"};

// of one round
struct outcome {
  double rps = 0;
  double cpu_us = 0;  // a call
  double p50_us = 0;
};

options parse(int argc, char** argv) {
  CLI::App app("Throughput and CPU of one loop, of two loops in a process, and of two processes, in turns.",
               "bench-scaling");
  std::string rounds = "7", in_flight = "64", window = "1s";
  app.add_option("--rounds", rounds, "Times each is measured (default 7)")->type_name("N");
  app.add_option("--in-flight", in_flight, "Calls in flight on each loop (default 64)")->type_name("N");
  app.add_option("--window", window, "How long each is measured (default 1s)")->type_name("D");
  if (auto const help = bench::parse(app, argc, argv)) std::exit(bench::leave(*help));
  return {.rounds = static_cast<unsigned>(bench::whole("--rounds", rounds, {1, 1000})),
          .in_flight = static_cast<unsigned>(bench::whole("--in-flight", in_flight, {1, 10'000})),
          .window = bench::duration("--window", window, {50ms, 1min})};
}

std::vector<std::string> command(options const& asked, char const* client, std::string const& target,
                                 unsigned threads) {
  std::vector<std::string> made{bench::own_program().string()};
  peers::assignment const one{.client = client,
                              .target = target,
                              .in_flight = asked.in_flight,
                              .threads = threads,
                              .measured = {.warm_up = 200ms, .length = asked.window}};
  for (std::string& each : peers::to_arguments(one)) made.push_back(std::move(each));
  return made;
}

// the processes start together, so that their windows all but coincide
outcome measure(options const& asked, char const* client, std::string const& target, shape const& how) {
  std::deque<bench::child> workers;
  for (unsigned i = 0; i < how.processes; ++i) {
    workers.emplace_back(command(asked, client, target, how.threads), std::nullopt);
  }
  outcome all;
  double cpu = 0;
  for (bench::child& worker : workers) {
    auto const line = worker.read_line(std::chrono::steady_clock::now() + 60s + asked.window).value_or("");
    auto const seen = peers::parse_figures(line);
    if (!seen || seen->failed > 0) throw std::runtime_error(fmt::format("{}, {}: it failed", client, how.name));
    all.rps += seen->rps;
    cpu += seen->rps * seen->cpu_us;
    all.p50_us += seen->p50_us / how.processes;
  }
  all.cpu_us = cpu / all.rps;
  return all;
}

using key = std::tuple<std::string, std::string, std::string>;  // server, client, shape
using outcomes = std::map<key, std::vector<outcome>>;

template <class Field>
double median_of(std::vector<outcome> const& all, Field field) {
  std::vector<double> values;
  for (outcome const& one : all) values.push_back(one.*field);
  return bench::median(std::move(values));
}

// the median of the rounds' ratios: two measurements of a round are seconds apart
template <class Field>
double median_ratio(std::vector<outcome> const& of, std::vector<outcome> const& to, Field field) {
  std::vector<double> values;
  for (std::size_t i = 0; i < of.size(); ++i) values.push_back(of[i].*field / to[i].*field);
  return bench::median(std::move(values));
}

void print(outcomes const& all, bench::machine const& here) {
  fmt::print("{}\n\n", bench::to_text(here));
  fmt::print("| server | client | | calls/s | of 1 loop | CPU µs a call | of 1 loop | p50 µs |\n");
  fmt::print("|---|---|---|---:|---:|---:|---:|---:|\n");
  for (char const* const server : servers) {
    for (char const* const client : clients) {
      auto const& base = all.at({server, client, shapes.front().name});
      for (shape const& how : shapes) {
        auto const& rounds = all.at({server, client, how.name});
        fmt::print("| {} | {} | {} | {:.0f} | {:.2f} | {:.2f} | {:.2f} | {:.0f} |\n", server, client, how.name,
                   median_of(rounds, &outcome::rps), median_ratio(rounds, base, &outcome::rps),
                   median_of(rounds, &outcome::cpu_us), median_ratio(rounds, base, &outcome::cpu_us),
                   median_of(rounds, &outcome::p50_us));
      }
    }
  }
}

int compare(options const& asked) {
  auto const here = bench::machine::here();
  std::map<std::string, bench::backend> backends;
  for (char const* const one : servers) backends.try_emplace(one, one);
  outcomes all;
  for (unsigned round = 0; round < asked.rounds; ++round) {
    fmt::print(stderr, "bench-scaling: round {} of {}\n", round + 1, asked.rounds);
    for (char const* const server : servers) {
      for (char const* const client : clients) {
        for (shape const& how : shapes) {
          if (bench::interrupted()) return 130;
          all[{server, client, how.name}].push_back(measure(asked, client, backends.at(server).address(), how));
        }
      }
    }
  }
  print(all, here);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    if (argc > 1 && std::string_view(argv[1]) == "--worker") {
      return peers::work_off(peers::parse_assignment(argc, argv));
    }
    bench::catch_interrupts();
    return compare(parse(argc, argv));
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-scaling", error));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-scaling: {}\n", error.what());
    return 1;
  }
}
