// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <support/flags.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>

namespace millrace::load {
namespace {

// 812 us, 4.31 ms, 1.20 s: three digits that count
std::string length(double us) {
  if (us < 1'000) return fmt::format("{:.0f} us", us);
  if (us < 1'000'000) return fmt::format("{:.2f} ms", us / 1'000);
  return fmt::format("{:.2f} s", us / 1'000'000);
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

class table {
 public:
  template <class... Args>
  void row(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), "  {:<21}", name);
    line(format, std::forward<Args>(args)...);
  }

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

void add_outcome(table& to, report const& result) {
  to.row("calls", "{:>12}   in {:.2f} s", result.calls, std::chrono::duration<double>(result.elapsed).count());
  to.row("ok", "{:>12}   {:.3f} %", result.ok, percent(result.ok, result.calls));
  to.row("failed", "{:>12}", result.failed);
  for (auto const& [status, count] : result.by_status) to.row("  " + status, "{:>12}", count);
  to.row("rate", "{:>12.0f}   calls/s", result.rps);
}

void add_latency(table& to, latency_report const& us) {
  to.row("latency", "{:>12} p50   {} p90   {} p99   {} p99.9   {} max", length(us.p50), length(us.p90), length(us.p99),
         length(us.p999), length(us.max));
}

// nothing of calls that are not hedged
void add_hedges(table& to, report const& result) {
  if (result.hedges == 0 && result.hedges_skipped.empty()) return;
  std::string skipped;
  for (auto const& [why, count] : result.hedges_skipped) skipped += fmt::format("   {} skipped: {}", count, why);
  to.row("hedges", "{:>12}{}", result.hedges, skipped);
}

void add_attempts(table& to, report const& result) {
  to.row("attempts", "{:>12}", result.attempts);
  to.row("retries", "{:>12}   {} more denied by the budget", result.retries, result.budget_denied);
  add_hedges(to, result);
  if (result.health_questions > 0) to.row("health questions", "{:>12}", result.health_questions);
  to.row("cpu", "{:>12.1f}   us a call", result.cpu_us_per_call);
  to.row("corked", "{:>12}   times   {} in all   {} at most", result.coalescing.corks,
         length(result.coalescing.held_us), length(result.coalescing.longest_us));
}

void add_reconnects(table& to, std::vector<double> const& ms) {
  if (ms.empty()) {
    to.row("reconnects", "{:>12}", 0);
    return;
  }
  auto const [shortest, longest] = std::minmax_element(ms.begin(), ms.end());
  to.row("reconnects", "{:>12}   after {} to {}", ms.size(), length(*shortest * 1'000), length(*longest * 1'000));
}

void add_endpoints(table& to, report const& result) {
  std::size_t width = std::string_view("endpoint").size();
  std::uint64_t all = 0;
  for (auto const& each : result.endpoints) {
    width = std::max(width, each.address.size());
    all += each.calls;
  }
  to.line("  {:<{}}  {:>12} {:>8} {:>12} {:>9} {:>8} {:>6} {:>8}", "endpoint", width, "attempts", "share", "ok", "ewma",
          "opened", "lost", "ejected");
  for (auto const& each : result.endpoints) {
    to.line("  {:<{}}  {:>12} {:>6.1f} % {:>12} {:>9} {:>8} {:>6} {:>8}", each.address, width, each.calls,
            percent(each.calls, all), each.ok, length(each.ewma_us), each.connections_opened, each.connections_lost,
            each.ejections);
  }
  for (auto const& each : result.endpoints) {
    for (auto const& [why, count] : each.ejection_reasons) {
      to.line("  {:<{}}  ejected {} x: {}", each.address, width, count, why);
    }
  }
}

}  // namespace

std::string to_table(report const& result) {
  table made;
  add_outcome(made, result);
  add_latency(made, result.latency_us);
  add_attempts(made, result);
  add_reconnects(made, result.reconnect_ms);
  made.line("");
  add_endpoints(made, result);
  return std::move(made).text();
}

std::string to_json(report const& result) {
  using json = nlohmann::ordered_json;
  json endpoints = json::array();
  for (auto const& each : result.endpoints) {
    endpoints.push_back(json{{"address", each.address},
                             {"calls", each.calls},
                             {"ok", each.ok},
                             {"connections_opened", each.connections_opened},
                             {"connections_lost", each.connections_lost},
                             {"ejections", each.ejections},
                             {"ejection_reasons", json(each.ejection_reasons)},
                             {"ewma_us", each.ewma_us},
                             {"dials", each.dials},
                             {"replacements", each.replacements}});
  }
  auto const& us = result.latency_us;
  json const made{
      {"calls", result.calls},
      {"ok", result.ok},
      {"failed", result.failed},
      {"by_status", json(result.by_status)},
      {"rps", result.rps},
      {"latency_us", {{"p50", us.p50}, {"p90", us.p90}, {"p99", us.p99}, {"p999", us.p999}, {"max", us.max}}},
      {"attempts", result.attempts},
      {"retries", result.retries},
      {"budget_denied", result.budget_denied},
      {"hedges", result.hedges},
      {"hedges_skipped", json(result.hedges_skipped)},
      {"health_questions", result.health_questions},
      {"cpu_us_per_call", result.cpu_us_per_call},
      {"coalescing",
       {{"corks", result.coalescing.corks},
        {"held_us", result.coalescing.held_us},
        {"longest_us", result.coalescing.longest_us},
        {"failed_uncorks", result.coalescing.failed_uncorks}}},
      {"reconnect_ms", result.reconnect_ms},
      {"pool_size", result.pool_size},
      {"endpoints", std::move(endpoints)},
  };
  // an address is a user's text: what is no UTF-8 must not throw away the whole report
  return made.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

bool write_json(report const& result, std::string const& path) { return bench::write_text(to_json(result), path); }

std::string to_line(std::vector<endpoint_second> const& endpoints) {
  std::uint64_t all = 0;
  for (auto const& each : endpoints) all += each.attempts;
  std::string text;
  for (auto const& each : endpoints) {
    text += fmt::format("{}{} {:.0f} % {} {}", text.empty() ? "         " : " | ", each.address,
                        percent(each.attempts, all), length(each.ewma_us), each.state);
  }
  return text + "\n";
}

std::string narration(std::chrono::nanoseconds since_start, std::string_view what) {
  return fmt::format("[{:5.1f} s] {}\n", std::chrono::duration<double>(since_start).count(), what);
}

}  // namespace millrace::load
