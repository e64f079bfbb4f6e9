// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/counters.hpp>

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <numeric>

namespace millrace {
namespace {

using count = counters::count;

// what the format asks for inside a label's quotes
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// one metric: its HELP and TYPE, then its samples
class family {
 public:
  family(std::string& out, std::string_view name, std::string_view type, std::string_view help)
      : out_(out), name_(name) {
    add("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }

  void sample(auto value) { add("{} {}\n", name_, value); }

  void sample(std::string_view label, std::string_view is, auto value) {
    add("{}{{{}=\"{}\"}} {}\n", name_, label, escaped(is), value);
  }

  void sample(std::string_view label, std::string_view is, std::string_view second, std::string_view also, auto value) {
    add("{}{{{}=\"{}\",{}=\"{}\"}} {}\n", name_, label, escaped(is), second, escaped(also), value);
  }

  // a sample of a summary: the metric's name with a suffix
  void part(std::string_view suffix, std::string_view label, std::string_view is, auto value) {
    add("{}{}{{{}=\"{}\"}} {}\n", name_, suffix, label, escaped(is), value);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  std::string& out_;
  std::string_view name_;
};

// the codes that occurred: seventeen of each would be mostly zeros
void codes(family& to, std::string_view label, std::string_view is, counters::by_code const& counts) {
  for (std::size_t at = 0; at < counts.size(); ++at) {
    if (counts[at] != 0) to.sample(label, is, "code", to_string(static_cast<status_code>(at)), counts[at]);
  }
}

count sum(counters::by_code const& counts) { return std::accumulate(counts.begin(), counts.end(), count{0}); }

class text {
 public:
  void calls(counters::by_name<counters::method_counts> const& methods) {
    per(methods, "millrace_calls_started_total", "Calls begun.", "method", &counters::method_counts::calls);
    family ended(out_, "millrace_calls_total", "counter", "Calls ended, as their callers saw them.");
    for (auto const& [name, counts] : methods) codes(ended, "method", name, counts.finished);
    family latency(out_, "millrace_call_duration_seconds", "summary", "Time from the start of a call to its end.");
    for (auto const& [name, counts] : methods) {
      latency.part("_sum", "method", name, std::chrono::duration<double>(counts.latency).count());
      latency.part("_count", "method", name, sum(counts.finished));
    }
    per(methods, "millrace_retries_total", "Retries scheduled by policy.", "method", &counters::method_counts::retries);
    per(methods, "millrace_transparent_retries_total", "Retries of attempts that never reached the wire.", "method",
        &counters::method_counts::transparent_retries);
    per(methods, "millrace_hedges_total", "Hedges sent.", "method", &counters::method_counts::hedges);
    per(methods, "millrace_hedge_wins_total", "Calls that ended well with a hedge's answer.", "method",
        &counters::method_counts::hedge_wins);
  }

  void endpoints(counters::by_name<counters::endpoint_counts> const& all) {
    using counts_type = counters::endpoint_counts;
    per(all, "millrace_attempts_started_total", "Attempts begun.", "endpoint", &counts_type::attempts);
    family ended(out_, "millrace_attempts_total", "counter", "Attempts ended.");
    for (auto const& [name, counts] : all) codes(ended, "endpoint", name, counts.finished);
    per(all, "millrace_picks_total", "Calls given a slot.", "endpoint", &counts_type::picks);
    per(all, "millrace_dials_total", "Connections attempted.", "endpoint", &counts_type::dials);
    per(all, "millrace_connections_opened_total", "Slots that became ready.", "endpoint",
        &counts_type::connections_opened);
    per(all, "millrace_connections_lost_total", "Ready slots that lost their connection.", "endpoint",
        &counts_type::connections_lost);
    per(all, "millrace_connections_replaced_total", "Connections replaced while they worked.", "endpoint",
        &counts_type::replacements);
    per(all, "millrace_too_many_pings_total", "Times an endpoint closed connections because of pings.", "endpoint",
        &counts_type::too_many_pings);
    per(all, "millrace_ejections_total", "Times an endpoint was found unhealthy.", "endpoint", &counts_type::ejections);
    slots(all);
  }

  void pool(counters::totals const& totals, counters::by_name<count> const& pick_failures) {
    family denied(out_, "millrace_retries_denied_total", "counter", "Failed attempts that were not retried.");
    for (std::size_t at = 0; at < totals.denied.size(); ++at) {
      denied.sample("reason", to_string(static_cast<retry_denial>(at)), totals.denied[at]);
    }
    family skipped(out_, "millrace_hedges_skipped_total", "counter", "Hedges that were due and not sent.");
    for (std::size_t at = 0; at < totals.skipped.size(); ++at) {
      skipped.sample("reason", to_string(static_cast<hedge_skip>(at)), totals.skipped[at]);
    }
    family failed(out_, "millrace_pick_failures_total", "counter", "Calls given no slot.");
    for (auto const& [why, times] : pick_failures) failed.sample("reason", why, times);
    single("millrace_endpoint_changes_total", "Changes of the set of endpoints.", totals.endpoint_changes);
    single("millrace_resolve_failures_total", "Times the endpoints could not be resolved.", totals.resolve_failures);
    single("millrace_panics_total", "Times all endpoints were used because too few were usable.", totals.panics);
    single("millrace_drains_started_total", "Pools that began to drain.", totals.drains_started);
    single("millrace_drains_finished_total", "Pools that are drained.", totals.drains_finished);
    single("millrace_drain_revoked_calls_total", "Calls cut off at the end of a drain.", totals.calls_revoked);
  }

  std::string take() { return std::move(out_); }

 private:
  template <class Counts>
  void per(counters::by_name<Counts> const& all, std::string_view name, std::string_view help, std::string_view label,
           count Counts::*member) {
    family one(out_, name, "counter", help);
    for (auto const& [is, counts] : all) one.sample(label, is, counts.*member);
  }

  void single(std::string_view name, std::string_view help, count value) {
    family(out_, name, "counter", help).sample(value);
  }

  void slots(counters::by_name<counters::endpoint_counts> const& all) {
    family gauge(out_, "millrace_slots", "gauge", "Slots that have a channel, by state.");
    for (auto const& [name, counts] : all) {
      for (slot_state state : {slot_state::idle, slot_state::connecting, slot_state::ready, slot_state::backing_off,
                               slot_state::draining}) {
        gauge.sample("endpoint", name, "state", to_string(state), counts.slots[static_cast<std::size_t>(state)]);
      }
    }
  }

  std::string out_;
};

}  // namespace

std::string counters::prometheus_text() const {
  text out;
  out.calls(methods_);
  out.endpoints(endpoints_);
  out.pool(totals_, pick_failures_);
  return out.take();
}

}  // namespace millrace
