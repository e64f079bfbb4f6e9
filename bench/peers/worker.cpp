// SPDX-License-Identifier: Apache-2.0
#include "worker.hpp"

#include <millrace/time/duration_text.hpp>
#include <support/flags.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <deque>
#include <exception>
#include <thread>

namespace millrace::peers {

using namespace std::chrono_literals;

namespace {

/// One thread's share, and how it went.
struct share {
  explicit share(assignment const& one) : measure(one.measured, one.in_flight) {}

  void run(client const& how, assignment const& one) noexcept {
    try {
      how.run({one.target, one.in_flight, std::string(one.payload, 'x')}, measure);
      seen = measure.result();
    } catch (std::exception const& error) {
      failure = error.what();
    }
    if (seen.failed > 0) failure = fmt::format("{} calls failed: {}", seen.failed, measure.first_failure());
  }

  meter measure;
  figures seen;
  std::string failure;
};

// each share saw the whole process's CPU time, and its allocations, in a window of its own
figures together(std::deque<share> const& shares) {
  double const count = static_cast<double>(shares.size());
  figures all;
  double cpu = 0, allocations = 0;
  for (share const& each : shares) {
    figures const& one = each.seen;
    all.calls += one.calls;
    all.failed += one.failed;
    all.rps += one.rps;
    all.p50_us += one.p50_us / count;
    all.p99_us += one.p99_us / count;
    cpu += one.cpu_us * one.rps / count;
    allocations += one.allocations * one.rps / count;
  }
  all.cpu_us = cpu / all.rps;
  all.allocations = allocations / all.rps;
  return all;
}

void run_all(std::deque<share>& shares, client const& how, assignment const& one) {
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < shares.size(); ++i) others.emplace_back([&, i] { shares[i].run(how, one); });
  shares.front().run(how, one);
  for (std::thread& each : others) each.join();
}

}  // namespace

std::vector<std::string> to_arguments(assignment const& one) {
  return {"--worker",    one.client,
          "--target",    one.target,
          "--in-flight", std::to_string(one.in_flight),
          "--payload",   std::to_string(one.payload),
          "--threads",   std::to_string(one.threads),
          "--warm-up",   to_text(one.measured.warm_up),
          "--window",    to_text(one.measured.length),
          "--calls",     std::to_string(one.measured.calls)};
}

assignment parse_assignment(int argc, char const* const* argv) {
  CLI::App app;
  assignment one;
  std::string in_flight = "1";
  std::string payload = "16";
  std::string threads = "1";
  std::string warm_up = "100ms";
  std::string length = "300ms";
  std::string calls = "0";
  app.add_option("--worker", one.client);
  app.add_option("--target", one.target);
  app.add_option("--in-flight", in_flight);
  app.add_option("--payload", payload);
  app.add_option("--threads", threads);
  app.add_option("--warm-up", warm_up);
  app.add_option("--window", length);
  app.add_option("--calls", calls);
  if (bench::parse(app, argc, argv)) throw bench::bad_flag("--worker", one.client, "it is for this program's own use");
  one.in_flight = static_cast<unsigned>(bench::whole("--in-flight", in_flight, {1, 100'000}));
  one.payload = static_cast<std::uint32_t>(bench::whole("--payload", payload, {0, 1u << 20u}));
  one.threads = static_cast<unsigned>(bench::whole("--threads", threads, {1, 64}));
  one.measured.warm_up = bench::duration("--warm-up", warm_up, {0ns, 1h});
  one.measured.length = bench::duration("--window", length, {0ns, 1h});
  one.measured.calls = bench::whole("--calls", calls, {0, 1'000'000'000});
  return one;
}

int work_off(assignment const& one) {
  client const* const how = find_client(one.client);
  if (how == nullptr) return std::fputs("bench-peers: no such client\n", stderr), 2;
  std::deque<share> shares;
  for (unsigned i = 0; i < one.threads; ++i) shares.emplace_back(one);
  run_all(shares, *how, one);
  figures const seen = together(shares);
  nlohmann::json const line{{"calls", seen.calls},       {"failed", seen.failed}, {"cpu_us", seen.cpu_us},
                            {"rps", seen.rps},           {"p50_us", seen.p50_us}, {"p99_us", seen.p99_us},
                            {"allocs", seen.allocations}};
  fmt::print("{}\n", line.dump());
  int status = 0;
  for (share const& each : shares) {
    if (each.failure.empty()) continue;
    fmt::print(stderr, "bench-peers: {}: {}\n", one.client, each.failure);
    status = 1;
  }
  return status;
}

std::optional<figures> parse_figures(std::string const& line) {
  auto const read = nlohmann::json::parse(line, nullptr, false);
  if (!read.is_object()) return std::nullopt;
  try {
    return figures{.calls = read.at("calls"),
                   .failed = read.at("failed"),
                   .cpu_us = read.at("cpu_us"),
                   .rps = read.at("rps"),
                   .p50_us = read.at("p50_us"),
                   .p99_us = read.at("p99_us"),
                   .allocations = read.at("allocs")};
  } catch (nlohmann::json::exception const&) {
    return std::nullopt;
  }
}

}  // namespace millrace::peers
