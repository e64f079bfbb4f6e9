// SPDX-License-Identifier: Apache-2.0
#include "run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace millrace::peers {
namespace {

using namespace std::chrono_literals;
using bench::child;
using bench::interrupted;
using bench::own_program;

// a quick run's measurements share this
constexpr duration quick_budget = 44s;

// and at this time, however slow the machine, it ends: no round begins that would not be over by then
constexpr duration quick_limit = 47s;

// of a measurement, beside its window: process, connection, warm-up
constexpr duration overhead = 130ms;

constexpr window full_window{.warm_up = 200ms, .length = 1s};

// a client that has not answered by then never will
constexpr duration patience = 60s;

// under valgrind, two runs that differ by so many calls
constexpr std::uint64_t counted_calls = 1000;

std::optional<std::string> find_valgrind() {
  for (char const* const one : {"/usr/bin/valgrind", "/usr/local/bin/valgrind"}) {
    if (std::filesystem::exists(one)) return one;
  }
  return std::nullopt;
}

time_point in(duration d) { return std::chrono::steady_clock::now() + d; }

}  // namespace

run::run(options const& wanted, bench::machine const& here)
    : wanted_(wanted), here_(here), began_(std::chrono::steady_clock::now()) {
  plan();
}

void run::add_contenders(std::string const& program, std::string_view suffix) {
  for (std::string const& name : wanted_.clients) {
    contenders_.push_back({name + std::string(suffix), find_client(name), program});
  }
}

void run::plan() {
  add_contenders(own_program().string(), "");
  if (!wanted_.static_worker.empty()) add_contenders(wanted_.static_worker, "-static");
  for (std::string const& server : wanted_.servers) {
    for (std::uint32_t const payload : wanted_.payloads) {
      for (unsigned const in_flight : wanted_.in_flight) cells_.push_back({server, payload, in_flight});
    }
  }
  for (cell const& where : cells_) {
    for (contender const& one : contenders_) {
      if (where.in_flight <= one.how->most_in_flight) seen_.rows.push_back({one.name, where, {}, {}});
    }
  }
  note_what_is_left_out();
  auto const measurements = static_cast<std::int64_t>(seen_.rows.size() * wanted_.rounds);
  window_ = full_window;
  if (wanted_.quick) {
    window_.warm_up = 60ms;
    window_.length = std::clamp<duration>(quick_budget / measurements - overhead, 80ms, 500ms);
  }
  seen_.window_length = window_.length;
  auto const seconds = std::chrono::duration<double>(window_.length + window_.warm_up + 100ms).count();
  fmt::print(stderr, "bench-peers: {} cells, {} rounds, {} measurements of {:.0f} ms: about {:.0f} s\n", cells_.size(),
             wanted_.rounds, measurements, seconds * 1000, seconds * static_cast<double>(measurements));
}

void run::note_what_is_left_out() {
  for (contender const& one : contenders_) {
    unsigned const most = one.how->most_in_flight;
    if (most < wanted_.in_flight.back()) {
      note(fmt::format("{} is not measured above {} calls in flight", one.name, most));
    }
  }
  if (here_.cores < 2) note("there is one core only, which clients and servers share");
}

outcome run::measure() {
  start_servers();
  duration longest{};
  while (seen_.rounds < wanted_.rounds && !must_end(longest)) {
    auto const begin = std::chrono::steady_clock::now();
    for (cell const& where : cells_) measure_cell(where, seen_.rounds + 1);
    longest = std::max(longest, std::chrono::steady_clock::now() - begin);
    if (must_end()) break;
    ++seen_.rounds;
  }
  if (seen_.rounds < wanted_.rounds && !interrupted()) {
    note(fmt::format("the machine was too busy for {} rounds in the time of a quick run", wanted_.rounds));
  }
  if (wanted_.instructions && !interrupted()) count_instructions();
  servers_.clear();
  std::erase_if(seen_.rows, [](row const& one) { return one.runs.empty(); });
  return std::move(seen_);
}

// whether a quick run's time is over by `after` from now
bool run::must_end(duration after) const {
  return interrupted() || (wanted_.quick && in(after) >= began_ + quick_limit);
}

// `d` from now, and not after the end of a quick run
time_point run::within(duration d) const { return wanted_.quick ? std::min(in(d), began_ + quick_limit) : in(d); }

void run::start_servers() {
  for (std::string const& name : wanted_.servers) servers_.try_emplace(name, name, here_.server_core);
}

void run::measure_cell(cell const& where, unsigned round) {
  if (must_end()) return;
  fmt::print(stderr, "[{:4.0f} s] round {} of {}: {}, {} B, {} in flight; µs of CPU a call:",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(), round, wanted_.rounds,
             where.server, where.payload, where.in_flight);
  for (row& one : seen_.rows) {
    if (one.where != where || must_end()) continue;
    measure_one(one, round);
    fmt::print(stderr, " {} {}", one.client,
               one.runs.contains(round) ? fmt::format("{:.1f}", one.runs[round].cpu_us) : "-");
  }
  std::fputc('\n', stderr);
}

std::vector<std::string> run::command(row const& one, window measured) const {
  contender const& who = *std::ranges::find(contenders_, one.client, &contender::name);
  std::vector<std::string> made{who.program};
  for (std::string& each : to_arguments({.client = std::string(who.how->name),
                           .target = servers_.at(one.where.server).address(),
                           .in_flight = one.where.in_flight,
                           .payload = one.where.payload,
                           .measured = measured})) {
    made.push_back(std::move(each));
  }
  return made;
}

void run::measure_one(row& one, unsigned round) {
  child worker(command(one, window_), here_.client_core);
  auto const line = worker.read_line(within(patience));
  auto const seen = parse_figures(line.value_or(""));
  int const status = worker.wait(within(5s));
  if (seen && status == 0) {
    one.runs.emplace(round, *seen);
    return;
  }
  if (must_end()) return;
  seen_.failed = true;
  note(fmt::format("{} failed: {}, {} B, {} in flight: {}", one.client, one.where.server, one.where.payload,
                   one.where.in_flight,
                   seen ? fmt::format("{} calls failed", seen->failed) : fmt::format("exit status {}", status)));
}

void run::count_instructions() {
  if (!find_valgrind()) return note("valgrind is not installed: no instructions were counted");
  for (row& one : seen_.rows) {
    if (interrupted()) return;
    fmt::print(stderr, "[{:4.0f} s] instructions: {}, {} B, {} in flight: {}",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(), one.where.server,
               one.where.payload, one.where.in_flight, one.client);
    // what is not a call's, such as connecting and warming up, is in both and so in neither
    std::uint64_t const base = std::max<std::uint64_t>(counted_calls, 4ull * one.where.in_flight);
    auto const few = instructions_of(one, base);
    auto const many = instructions_of(one, base + counted_calls);
    if (few && many) one.instructions = (*many - *few) / static_cast<double>(counted_calls);
    fmt::print(stderr, " {}\n", one.instructions ? fmt::format("{:.0f} a call", *one.instructions) : "not counted");
  }
}

std::optional<double> run::instructions_of(row const& one, std::uint64_t calls) {
  std::vector<std::string> arguments{*find_valgrind(), "--tool=callgrind", "--callgrind-out-file=/dev/null"};
  window measured = window_;
  measured.calls = calls;
  for (std::string& each : command(one, measured)) arguments.push_back(std::move(each));
  child counted(arguments, here_.client_core, child::output::error);
  std::optional<double> found;
  while (auto const line = counted.read_line(in(patience))) {
    // ==123== Collected : 123456
    if (auto const at = line->find("Collected : "); at != std::string::npos) found = std::stod(line->substr(at + 12));
  }
  return counted.wait(in(5s)) == 0 ? found : std::nullopt;
}

void run::note(std::string line) {
  auto& notes = seen_.notes;
  if (std::find(notes.begin(), notes.end(), line) == notes.end()) notes.push_back(std::move(line));
}

}  // namespace millrace::peers
