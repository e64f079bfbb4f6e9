// SPDX-License-Identifier: Apache-2.0
#include <peers/report.hpp>

#include <support/catch.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

peers::cell const deep{"canned", 16, 64};

// a client's runs in one cell by the CPU of its rounds; all else goes with it
peers::row row_of(std::string client, std::vector<double> const& cpu_us, peers::cell where = deep) {
  peers::row made{std::move(client), std::move(where), {}, {}};
  for (unsigned round = 1; double const each : cpu_us) {
    made.runs[round++] = {.calls = 1000,
                          .failed = 0,
                          .cpu_us = each,
                          .rps = 1e6 / each,
                          .p50_us = 10 * each,
                          .p99_us = 100 * each,
                          .allocations = 7};
  }
  return made;
}

bench::machine here() {
  return {.commit = "abc1234567",
          .cpu = "A Processor",
          .cores = 2,
          .kernel = "Linux 6.1",
          .grpc = "1.51.1",
          .compiler = "g++ 12",
          .date = "2026-01-02",
          .client_core = {},
          .server_core = {}};
}

peers::report report_of(std::vector<peers::row> rows, std::string given = "--quick") {
  peers::options asked;
  asked.given = std::move(given);
  return peers::summarise(asked, here(),
                          {.rows = std::move(rows), .notes = {"a note"}, .rounds = 3, .window_length = 150ms});
}

bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> keys(json const& object) {
  std::vector<std::string> all;
  for (auto const& [key, value] : object.items()) all.push_back(key);
  return all;
}

}  // namespace

TEST_CASE("peers: figures are medians, ratios those of each round to the textbook's in it", "[peers]") {
  auto const made = report_of({row_of("textbook", {20, 10, 40}), row_of("millrace", {10, 6, 36})});
  REQUIRE(made.rows.size() == 2);
  auto const& [textbook, millrace] = std::tie(made.rows[0], made.rows[1]);
  CHECK(textbook.cpu_ratio == Approx(1));
  CHECK(millrace.cpu_us == Approx(10));
  CHECK(millrace.cpu_min_us == Approx(6));
  CHECK(millrace.cpu_max_us == Approx(36));
  // of 0.5, 0.6 and 0.9: not 10 / 20
  CHECK(millrace.cpu_ratio == Approx(0.6));
  CHECK(millrace.p50_ratio == Approx(0.6));
  CHECK(millrace.rps_ratio == Approx(1 / 0.6));
}

TEST_CASE("peers: a round without the textbook makes no ratio", "[peers]") {
  auto made = report_of({row_of("textbook", {10}), row_of("millrace", {5, 1000})});
  CHECK(made.rows[1].cpu_ratio == Approx(0.5));
  made = report_of({row_of("textbook", {10}), row_of("millrace", {5}, {"plain", 16, 64})});
  CHECK(!made.rows[1].cpu_ratio);
}

TEST_CASE("peers: the ratio to asio-grpc is there where asio-grpc is", "[peers]") {
  auto made = report_of({row_of("textbook", {10}), row_of("asio-grpc", {8}), row_of("millrace-coro", {4})});
  CHECK(made.rows[2].cpu_to_asio_grpc == Approx(0.5));
  CHECK(json::parse(peers::to_json(made))["rows"][2]["cpu_ratio_to_asio_grpc"] == Approx(0.5));
  CHECK(has(peers::to_page(made), "| p99 µs | ratio | allocations | CPU, ratio to asio-grpc |\n"));
  made = report_of({row_of("textbook", {10}), row_of("millrace-coro", {4})});
  CHECK(!made.rows[1].cpu_to_asio_grpc);
  CHECK(has(peers::to_page(made), "| p99 µs | ratio | allocations |\n"));
}

TEST_CASE("peers: the JSON has the documented keys, no more and no fewer", "[peers]") {
  auto const made = json::parse(peers::to_json(report_of({row_of("textbook", {10, 20, 40})})));
  CHECK(keys(made) == std::vector<std::string>{"command", "commit", "compiler", "cores", "cpu", "date", "grpc",
                                               "kernel", "load_after", "load_before", "notes", "rounds", "rows",
                                               "window_ms"});
  REQUIRE(made["rows"].size() == 1);
  CHECK(keys(made["rows"][0]) == std::vector<std::string>{"allocs", "client", "cpu_ratio", "cpu_us", "in_flight",
                                                          "p50_ratio", "p50_us", "p99_ratio", "p99_us", "payload",
                                                          "rps", "rps_ratio", "server", "spread"});
}

TEST_CASE("peers: the JSON has the figures", "[peers]") {
  auto rows = std::vector{row_of("textbook", {10, 20, 40}), row_of("millrace", {5}, {"plain", 1024, 8})};
  rows[0].instructions = 54'500;
  auto const made = json::parse(peers::to_json(report_of(std::move(rows))));
  CHECK(made["command"] == "./dev bench --quick");
  CHECK(made["commit"] == "abc1234567");
  CHECK(made["rounds"] == 3);
  CHECK(made["window_ms"] == Approx(150));
  CHECK(made["notes"] == json{"a note"});
  auto const& first = made["rows"][0];
  CHECK(first["client"] == "textbook");
  CHECK(first["server"] == "canned");
  CHECK(first["payload"] == 16);
  CHECK(first["in_flight"] == 64);
  CHECK(first["cpu_us"] == Approx(20));
  CHECK(first["spread"] == json{10.0, 40.0});
  CHECK(first["p99_us"] == Approx(2000));
  CHECK(first["rps"] == Approx(50'000));
  CHECK(first["instructions"] == Approx(54'500));
  CHECK(made["rows"][1]["cpu_ratio"].is_null());
}

TEST_CASE("peers: the page names command, commit, machine and notes, and explains the clients it has", "[peers]") {
  auto const page = peers::to_page(report_of({row_of("textbook", {10}), row_of("millrace", {5})}));
  for (auto const* const part : {"- command: `./dev bench --quick`\n", "- commit: abc1234567\n", "- date: 2026-01-02\n",
                                 "- machine: A Processor, 2 cores, Linux 6.1\n", "- gRPC 1.51.1, g++ 12\n",
                                 "- a note\n", "\n| millrace | the engine, "}) {
    INFO(part);
    CHECK(has(page, part));
  }
  CHECK(!has(page, "\n| sync | "));
}

TEST_CASE("peers: the page has a table a server and payload, and a line a row", "[peers]") {
  auto const page = peers::to_page(
      report_of({row_of("textbook", {10, 20, 40}), row_of("millrace", {6, 10, 36}),
                 row_of("textbook", {50}, {"canned", 16, 1}), row_of("textbook", {30}, {"plain", 1024, 1})}));
  INFO(page);
  CHECK(has(page,
            "### canned (bare HTTP/2 responder), 16 B\n\n| in flight | 1 | 64 |\n|---|---:|---:|\n"
            "| textbook | 50.0 (1.00) | 20.0 (1.00) |\n| millrace | | 10.0 (0.60) |\n"));
  CHECK(has(page, "### plain (asynchronous C++ server), 1024 B\n\n| in flight | 1 |\n"));
  CHECK(has(
      page,
      "\n| canned | 16 | 64 | millrace | 10.00 | 6.00 … 36.00 | 0.60 | 100000 | 100 | 0.60 | 1000 | 0.60 | 7.0 |\n"));
}

TEST_CASE("peers: a table a cell for people", "[peers]") {
  auto const text = peers::to_tables(report_of({row_of("textbook", {10}), row_of("millrace", {5})}));
  INFO(text);
  CHECK(has(text, "\ncanned, 16 B, 64 in flight\n"));
  CHECK(has(text, "\n  millrace              5.00   0.50"));
  CHECK(has(text, "\nnote: a note\n"));
}
