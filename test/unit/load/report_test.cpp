// SPDX-License-Identifier: Apache-2.0
#include <load/report.hpp>

#include <support/catch.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <iterator>

using namespace millrace;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

load::report sample() {
  return {
      .elapsed = 10s,
      .calls = 1000,
      .ok = 990,
      .failed = 10,
      .by_status = {{"UNAVAILABLE", 7}, {"DEADLINE_EXCEEDED", 3}},
      .rps = 100,
      .latency_us = {.p50 = 250, .p90 = 900.5, .p99 = 4310, .p999 = 52000, .max = 1'204'000},
      .attempts = 1100,
      .retries = 100,
      .budget_denied = 4,
      .hedges = 21,
      .hedges_skipped = {{"no_room", 6}, {"budget", 8}},
      .health_questions = 77,
      .cpu_us_per_call = 8.25,
      .coalescing = {.corks = 31, .held_us = 5250.5, .longest_us = 470, .failed_uncorks = 1},
      .reconnect_ms = {2012.5, 31},
      .pool_size = {2, 3},
      .endpoints = {{"127.0.0.1:50051", 600, 595, 1, 0, 0, 250.5},
                    {"[::1]:2", 500, 395, 2, 1, 3, 1000, {{"the trial call failed", 3}}, 9, 5}},
  };
}

std::vector<std::string> keys(json const& object) {
  std::vector<std::string> all;
  for (auto const& [key, value] : object.items()) all.push_back(key);
  return all;
}

}  // namespace

TEST_CASE("report: the JSON has the documented keys, no more and no fewer", "[load]") {
  auto const made = json::parse(load::to_json(sample()));
  CHECK(keys(made) == std::vector<std::string>{"attempts", "budget_denied", "by_status", "calls", "coalescing",
                                               "cpu_us_per_call", "endpoints", "failed", "health_questions", "hedges",
                                               "hedges_skipped", "latency_us", "ok", "pool_size", "reconnect_ms",
                                               "retries", "rps"});
  CHECK(keys(made["latency_us"]) == std::vector<std::string>{"max", "p50", "p90", "p99", "p999"});
  CHECK(keys(made["endpoints"][0]) == std::vector<std::string>{"address", "calls", "connections_lost",
                                                               "connections_opened", "dials", "ejection_reasons",
                                                               "ejections", "ewma_us", "ok", "replacements"});
}

TEST_CASE("report: the JSON has the figures", "[load]") {
  auto const made = json::parse(load::to_json(sample()));
  CHECK(made["calls"] == 1000);
  CHECK(made["ok"] == 990);
  CHECK(made["failed"] == 10);
  CHECK(made["by_status"] == json{{"UNAVAILABLE", 7}, {"DEADLINE_EXCEEDED", 3}});
  CHECK(made["rps"] == 100.0);
  CHECK(made["latency_us"]["p999"] == 52000.0);
  CHECK(made["attempts"] == 1100);
  CHECK(made["retries"] == 100);
  CHECK(made["budget_denied"] == 4);
  CHECK(made["hedges"] == 21);
  CHECK(made["hedges_skipped"] == json{{"no_room", 6}, {"budget", 8}});
  CHECK(made["health_questions"] == 77);
  CHECK(made["cpu_us_per_call"] == 8.25);
  CHECK(made["coalescing"] == json{{"corks", 31}, {"held_us", 5250.5}, {"longest_us", 470.0}, {"failed_uncorks", 1}});
  CHECK(made["reconnect_ms"] == json{2012.5, 31.0});
  CHECK(made["endpoints"][1] == json{{"address", "[::1]:2"},
                                     {"calls", 500},
                                     {"ok", 395},
                                     {"connections_opened", 2},
                                     {"connections_lost", 1},
                                     {"ejections", 3},
                                     {"ejection_reasons", {{"the trial call failed", 3}}},
                                     {"ewma_us", 1000.0},
                                     {"dials", 9},
                                     {"replacements", 5}});
  CHECK(made["pool_size"] == json{2, 3});
}

TEST_CASE("report: empty collections stay an object and arrays", "[load]") {
  auto const made = json::parse(load::to_json({}));
  CHECK(made["by_status"] == json::object());
  CHECK(made["hedges_skipped"] == json::object());
  CHECK(made["reconnect_ms"] == json::array());
  CHECK(made["endpoints"] == json::array());
  CHECK(made["pool_size"] == json::array());
}

TEST_CASE("report: each key of the JSON stands on a line of its own", "[load]") {
  // bench/demo.sh reads the figure with sed
  CHECK(load::to_json(sample()).find("\n  \"failed\": 10,\n") != std::string::npos);
}

TEST_CASE("report: it is written to a file, and a file that cannot be written is told", "[load]") {
  std::string const path = "report_test.json";
  CHECK(load::write_json(sample(), path));
  std::ifstream file(path);
  CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == load::to_json(sample()));
  std::remove(path.c_str());
  CHECK_FALSE(load::write_json(sample(), "/no/such/directory/report.json"));
}

TEST_CASE("report: the table shows every figure", "[load]") {
  auto const table = load::to_table(sample());
  for (auto const* const piece :
       {"1000   in 10.00 s", "990   99.000 %", "UNAVAILABLE", "DEADLINE_EXCEEDED", "250 us p50", "4.31 ms p99",
        "1.20 s max", "1100", "4 more denied by the budget", "8.2", "31   times   5.25 ms in all   470 us at most",
        "after 31.00 ms to 2.01 s", "127.0.0.1:50051", "54.5 %", "[::1]:2",
        "21   8 skipped: budget   6 skipped: no_room", "77", "ejected 3 x: the trial call failed"}) {
    INFO(piece << "\n" << table);
    CHECK(table.find(piece) != std::string::npos);
  }
}

TEST_CASE("report: the table of a run without calls divides by nothing", "[load]") {
  auto const table = load::to_table({});
  INFO(table);
  CHECK(table.find("nan") == std::string::npos);
}

TEST_CASE("report: hedges are in the table of calls that are hedged only", "[load]") {
  CHECK(load::to_table({}).find("hedges") == std::string::npos);
  load::report hedged;
  hedged.hedges_skipped["budget"] = 1;
  CHECK(load::to_table(hedged).find("1 skipped: budget") != std::string::npos);
}

TEST_CASE("report: the endpoints of a second are one line", "[load]") {
  CHECK(load::to_line({{"a:1", 30, 250, "ready"}, {"[::1]:2", 10, 4310, "unhealthy"}}) ==
        "         a:1 75 % 250 us ready | [::1]:2 25 % 4.31 ms unhealthy\n");
  CHECK(load::to_line({{"a:1", 0, 0, "not connected"}}) == "         a:1 0 % 0 us not connected\n");
}

TEST_CASE("report: narration carries the time since the start", "[load]") {
  CHECK(load::narration(3s, "killed") == "[  3.0 s] killed\n");
  CHECK(load::narration(10'250ms, "x") == "[ 10.2 s] x\n");
}
