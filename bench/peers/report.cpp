// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include "client.hpp"

#include <support/median.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <set>

namespace millrace::peers {
namespace {

using bench::median;

template <class Field>
std::vector<double> all(row const& of, Field field) {
  std::vector<double> values;
  for (auto const& [round, one] : of.runs) values.push_back(one.*field);
  return values;
}

// over the rounds in which both were measured
template <class Field>
std::optional<double> paired_ratio(row const& of, row const& to, Field field) {
  std::vector<double> ratios;
  for (auto const& [round, one] : of.runs) {
    auto const base = to.runs.find(round);
    if (base != to.runs.end() && base->second.*field > 0) ratios.push_back(one.*field / base->second.*field);
  }
  if (ratios.empty()) return std::nullopt;
  return median(std::move(ratios));
}

summary summarise(row const& of) {
  auto const cpu = all(of, &figures::cpu_us);
  return {.client = of.client,
          .where = of.where,
          .cpu_us = median(cpu),
          .cpu_min_us = *std::min_element(cpu.begin(), cpu.end()),
          .cpu_max_us = *std::max_element(cpu.begin(), cpu.end()),
          .cpu_ratio = {},
          .rps_ratio = {},
          .p50_ratio = {},
          .p99_ratio = {},
          .cpu_to_asio_grpc = {},
          .rps = median(all(of, &figures::rps)),
          .p50_us = median(all(of, &figures::p50_us)),
          .p99_us = median(all(of, &figures::p99_us)),
          .allocations = median(all(of, &figures::allocations)),
          .instructions = of.instructions};
}

void add_ratios(summary& to, row const& of, row const& base) {
  to.cpu_ratio = paired_ratio(of, base, &figures::cpu_us);
  to.rps_ratio = paired_ratio(of, base, &figures::rps);
  to.p50_ratio = paired_ratio(of, base, &figures::p50_us);
  to.p99_ratio = paired_ratio(of, base, &figures::p99_us);
}

// another client's row in the same cell
row const* beside(outcome const& all, row const& one, std::string_view client) {
  auto const at = std::ranges::find_if(
      all.rows, [&](row const& other) { return other.where == one.where && other.client == client; });
  return at == all.rows.end() ? nullptr : &*at;
}

std::string shown(std::optional<double> ratio) { return ratio ? fmt::format("{:.2f}", *ratio) : "-"; }

std::string thousands(std::optional<double> instructions) {
  return instructions ? fmt::format("{:.1f} k", *instructions / 1000) : "";
}

std::string server_text(std::string const& name) {
  if (name == "plain") return "plain (asynchronous C++ server)";
  return name == "echo" ? "echo (millrace-echo)" : "canned (bare HTTP/2 responder)";
}

std::string how_measured(report const& all) {
  return fmt::format(
      "{} rounds, {:.0f} ms measured of each client in each, medians; range: least and most CPU of a round.",
      all.rounds, all.window_ms);
}

// the columns of the page's overview: in flight; its lines: client
void append_overview(std::string& page, report const& all, std::string const& server, std::uint32_t payload) {
  std::set<unsigned> columns;
  std::vector<std::string> clients;
  for (summary const& one : all.rows) {
    if (one.where.server != server || one.where.payload != payload) continue;
    columns.insert(one.where.in_flight);
    if (std::find(clients.begin(), clients.end(), one.client) == clients.end()) clients.push_back(one.client);
  }
  if (columns.empty()) return;
  page += fmt::format("\n### {}, {} B\n\n| in flight |", server_text(server), payload);
  for (unsigned const each : columns) page += fmt::format(" {} |", each);
  page += "\n|---|";
  for (std::size_t i = 0; i < columns.size(); ++i) page += "---:|";
  page += '\n';
  for (std::string const& client : clients) {
    page += fmt::format("| {} |", client);
    for (unsigned const each : columns) {
      cell const where{server, payload, each};
      auto const at = std::find_if(all.rows.begin(), all.rows.end(),
                                   [&](summary const& one) { return one.client == client && one.where == where; });
      page += at == all.rows.end() ? " |" : fmt::format(" {:.1f} ({}) |", at->cpu_us, shown(at->cpu_ratio));
    }
    page += '\n';
  }
}

bool any_of_client(report const& all, std::string_view name) {
  return std::ranges::any_of(all.rows, [name](summary const& one) { return one.client == name; });
}

bool any_has(report const& all, std::optional<double> summary::*field) {
  return std::ranges::any_of(all.rows, [field](summary const& one) { return (one.*field).has_value(); });
}

void append_details(std::string& page, report const& all) {
  bool const compared = any_has(all, &summary::cpu_to_asio_grpc);
  bool const counted = any_has(all, &summary::instructions);
  page +=
      "\n## Everything\n\n| server | payload | in flight | client | CPU µs | range | ratio | calls/s | p50 µs | ratio "
      "| p99 µs | ratio "
      "| allocations |";
  page += compared ? " CPU, ratio to asio-grpc |" : "";
  page += counted ? " instructions |\n" : "\n";
  page += "|---|---:|---:|---|---:|---|---:|---:|---:|---:|---:|---:|---:|";
  page += compared ? "---:|" : "";
  page += counted ? "---:|\n" : "\n";
  for (summary const& one : all.rows) {
    page += fmt::format(
        "| {} | {} | {} | {} | {:.2f} | {:.2f} … {:.2f} | {} | {:.0f} | {:.0f} | {} | {:.0f} | {} | {:.1f} |",
        one.where.server, one.where.payload, one.where.in_flight, one.client, one.cpu_us, one.cpu_min_us,
        one.cpu_max_us, shown(one.cpu_ratio), one.rps, one.p50_us, shown(one.p50_ratio), one.p99_us,
        shown(one.p99_ratio), one.allocations);
    if (compared) page += fmt::format(" {} |", shown(one.cpu_to_asio_grpc));
    if (counted) page += fmt::format(" {} |", thousands(one.instructions));
    page += '\n';
  }
}

}  // namespace

report summarise(options const& asked, bench::machine const& here, outcome const& done) {
  report made{.here = here,
              .command = "./dev bench" + (asked.given.empty() ? "" : " " + asked.given),
              .rounds = done.rounds,
              .window_ms = std::chrono::duration<double, std::milli>(done.window_length).count(),
              .rows = {},
              .notes = done.notes};
  for (row const& one : done.rows) {
    summary& added = made.rows.emplace_back(summarise(one));
    if (row const* const base = beside(done, one, all_clients().front().name)) add_ratios(added, one, *base);
    if (row const* const asio = beside(done, one, "asio-grpc")) {
      added.cpu_to_asio_grpc = paired_ratio(one, *asio, &figures::cpu_us);
    }
  }
  return made;
}

std::string to_tables(report const& all) {
  std::string text;
  cell last;
  for (summary const& one : all.rows) {
    if (one.where != last) {
      last = one.where;
      text += fmt::format("\n{}, {} B, {} in flight\n", one.where.server, one.where.payload, one.where.in_flight);
      text +=
          fmt::format("  {:<18} {:>7} {:>6} {:>15} {:>9} {:>8} {:>6} {:>8} {:>7} {:>9}\n", "client", "CPU us", "ratio",
                      "range", "calls/s", "p50 us", "ratio", "p99 us", "allocs", one.instructions ? "instr" : "");
    }
    text += fmt::format("  {:<18} {:>7.2f} {:>6} {:>15} {:>9.0f} {:>8.0f} {:>6} {:>8.0f} {:>7.1f} {:>9}\n", one.client,
                        one.cpu_us, shown(one.cpu_ratio), fmt::format("{:.2f}..{:.2f}", one.cpu_min_us, one.cpu_max_us),
                        one.rps, one.p50_us, shown(one.p50_ratio), one.p99_us, one.allocations,
                        thousands(one.instructions));
  }
  text += fmt::format("\n{} Load average: {:.1f} before, {:.1f} after.\n", how_measured(all), all.here.load_before,
                      all.here.load_after);
  for (std::string const& note : all.notes) text += fmt::format("note: {}\n", note);
  return text;
}

std::string to_json(report const& all) {
  using json = nlohmann::ordered_json;
  auto const or_null = [](std::optional<double> ratio) { return ratio ? json(*ratio) : json(); };
  json rows = json::array();
  for (summary const& one : all.rows) {
    json made{{"client", one.client},
              {"server", one.where.server},
              {"in_flight", one.where.in_flight},
              {"payload", one.where.payload},
              {"cpu_us", one.cpu_us},
              {"cpu_ratio", or_null(one.cpu_ratio)},
              {"rps", one.rps},
              {"p50_us", one.p50_us},
              {"p99_us", one.p99_us},
              {"allocs", one.allocations},
              {"spread", {one.cpu_min_us, one.cpu_max_us}},
              {"rps_ratio", or_null(one.rps_ratio)},
              {"p50_ratio", or_null(one.p50_ratio)},
              {"p99_ratio", or_null(one.p99_ratio)}};
    if (one.cpu_to_asio_grpc) made["cpu_ratio_to_asio_grpc"] = *one.cpu_to_asio_grpc;
    if (one.instructions) made["instructions"] = *one.instructions;
    rows.push_back(std::move(made));
  }
  json const made{{"command", all.command},
                  {"commit", all.here.commit},
                  {"date", all.here.date},
                  {"cpu", all.here.cpu},
                  {"cores", all.here.cores},
                  {"kernel", all.here.kernel},
                  {"grpc", all.here.grpc},
                  {"compiler", all.here.compiler},
                  {"load_before", all.here.load_before},
                  {"load_after", all.here.load_after},
                  {"rounds", all.rounds},
                  {"window_ms", all.window_ms},
                  {"notes", all.notes},
                  {"rows", std::move(rows)}};
  return made.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string to_page(report const& all) {
  std::string page = R"(# Benchmarks

What a unary echo call costs its client: millrace and other ways of calling gRPC, doing the same work against the same
servers in the same run. This page is written by the program that measures; do not edit it.

)";
  page += fmt::format("- command: `{}`\n- commit: {}\n- date: {}\n- machine: {}, {} cores, {}\n- gRPC {}, {}\n",
                      all.command, all.here.commit, all.here.date, all.here.cpu, all.here.cores, all.here.kernel,
                      all.here.grpc, all.here.compiler);
  page += fmt::format("- {}\n- load average: {:.1f} before, {:.1f} after, of which this run is about 1.5\n",
                      how_measured(all), all.here.load_before, all.here.load_after);
  for (std::string const& note : all.notes) page += fmt::format("- {}\n", note);
  page += R"(
## How to read it

Absolute figures hold for this machine on that day. What holds elsewhere is the **ratio** to `textbook` in the same cell (less is
better): the median, over the rounds, of two measurements made seconds apart. So it need not be the quotient of the two medians
beside it.

- **CPU µs**: user and system time of the whole client process, all its threads, divided by the calls of the measured window.
  Kernel work that loopback does for the server's side on the client's core is in it, for every client alike.
- **calls/s, p50, p99**: a closed loop of so many calls in flight over one connection. Against `canned` the client is the bottleneck;
  against `plain` the server often is, and then calls/s says little about the client.
- **allocations**: calls of malloc and its kin by the whole process, gRPC included, for each call made.
- **CPU, ratio to asio-grpc** (only in a build with `-Dasio_grpc=DIR`, the include directory of an asio-grpc 3.x): as the ratio to
  textbook. Coroutines on both sides is the line of `millrace-coro`.
- **…-static** (only with `./dev bench static`): the same client in a build whose gRPC is linked statically (`-Dprefer_static=true`).
- **instructions** (only with `--instructions`): under callgrind, the difference of two runs that differ by 1000 calls. The timing
  there is not that of real life: batches are deeper.

Each measurement is a process of its own, pinned to one core, with the server pinned to another. Clients take turns (A B C … A B
C …), so that what else the machine does hits them alike. Every call has a deadline of 10 s.

| client | what it is |
|---|---|
)";
  for (client const& one : all_clients()) {
    if (any_of_client(all, one.name)) page += fmt::format("| {} | {} |\n", one.name, one.what);
  }
  page += "\n## CPU µs a call, and the ratio to textbook\n";
  std::set<std::string> servers;
  std::set<std::uint32_t> payloads;
  for (summary const& one : all.rows) {
    servers.insert(one.where.server);
    payloads.insert(one.where.payload);
  }
  for (std::string const& server : servers) {
    for (std::uint32_t const payload : payloads) append_overview(page, all, server, payload);
  }
  append_details(page, all);
  return page;
}

}  // namespace millrace::peers
