// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <support/median.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace millrace::streams {
namespace {

/// A row's medians.
struct summary {
  double engine = 0;
  double plain = 0;
  double ratio = 0;
  double least_ratio = 0;
  double most_ratio = 0;
};

// the ratio is the median of the rounds' ratios, each of two measurements made one after the other
summary summarise(row const& one) {
  std::vector<double> ratios;
  for (std::size_t at = 0; at < one.engine.size(); ++at) ratios.push_back(one.engine[at] / one.plain[at]);
  auto const [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  return {.engine = bench::median(one.engine),
          .plain = bench::median(one.plain),
          .ratio = bench::median(ratios),
          .least_ratio = *least,
          .most_ratio = *most};
}

double megabytes(double messages, std::size_t bytes) { return messages * static_cast<double>(bytes) / 1e6; }

}  // namespace

std::string to_table(report const& all) {
  std::string text =
      "| pattern | message | millrace msg/s | MB/s | gRPC async msg/s | MB/s | ratio | least to most |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|\n";
  for (row const& one : all.rows) {
    summary const sum = summarise(one);
    text += fmt::format("| {} | {} B | {:.0f} | {:.1f} | {:.0f} | {:.1f} | {:.2f} | {:.2f} to {:.2f} |\n", one.of.name,
                        one.bytes, sum.engine, megabytes(sum.engine, one.bytes), sum.plain,
                        megabytes(sum.plain, one.bytes), sum.ratio, sum.least_ratio, sum.most_ratio);
  }
  return text + fmt::format("\nMedians of {} rounds of {:.0f} ms each, in turns; commit {}.\n", all.rounds,
                            all.window_ms, all.commit);
}

std::string to_json(report const& all) {
  using json = nlohmann::ordered_json;
  json rows = json::array();
  for (row const& one : all.rows) {
    summary const sum = summarise(one);
    rows.push_back(json{{"pattern", one.of.name},
                        {"bytes", one.bytes},
                        {"millrace_messages", sum.engine},
                        {"millrace_mb", megabytes(sum.engine, one.bytes)},
                        {"grpc_messages", sum.plain},
                        {"grpc_mb", megabytes(sum.plain, one.bytes)},
                        {"ratio", sum.ratio},
                        {"least_ratio", sum.least_ratio},
                        {"most_ratio", sum.most_ratio}});
  }
  json const made{
      {"commit", all.commit}, {"rounds", all.rounds}, {"window_ms", all.window_ms}, {"rows", std::move(rows)}};
  return made.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace millrace::streams
