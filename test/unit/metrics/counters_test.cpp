// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/observer_list.hpp>

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

#include <chrono>
#include <regex>
#include <set>
#include <sstream>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr char const* here = "127.0.0.1:5001";
constexpr char const* there = "127.0.0.1:5002";
constexpr char const* say = "/echo.Echo/Say";

void slot(observer& to, std::string_view endpoint, slot_state from, slot_state was) {
  to.on(events::slot_changed{{}, endpoint, 0, from, was, "", 1s});
}

void call(observer& to, std::string_view endpoint, status_code code, duration elapsed) {
  to.on(events::call_started{{}, say});
  to.on(events::picked{{}, endpoint, 0, 1, 0s});
  to.on(events::attempt_started{{}, say, endpoint, 0, 1});
  to.on(events::attempt_finished{{}, say, endpoint, 0, 1, code, "", elapsed, false});
  to.on(events::call_finished{{}, say, code, elapsed, 1});
}

// one of each, and more
void busy_day(observer& to) {
  slot(to, here, slot_state::vacant, slot_state::idle);
  slot(to, here, slot_state::idle, slot_state::connecting);
  slot(to, here, slot_state::connecting, slot_state::ready);
  slot(to, there, slot_state::idle, slot_state::connecting);
  slot(to, there, slot_state::connecting, slot_state::backing_off);
  call(to, here, status_code::ok, 250ms);
  call(to, here, status_code::ok, 500ms);
  call(to, there, status_code::unavailable, 250ms);
  to.on(events::retry_scheduled{{}, say, 2, status_code::unavailable, 1ms, false});
  to.on(events::retry_scheduled{{}, say, 2, status_code::unavailable, 0s, true});
  to.on(events::retry_denied{{}, say, 3, status_code::unavailable, retry_denial::budget});
  to.on(events::retry_denied{{}, say, 1, status_code::not_found, retry_denial::not_retryable});
  to.on(events::pick_failed{{}, "no endpoint is ready", 1ms});
  to.on(events::too_many_pings{{}, there, 0, 30s, 60s});
  to.on(events::drain_started{{}, 1, 0, 5s});
  to.on(events::drain_finished{{}, 5s, 2});
}

bool has_line(std::string const& text, std::string const& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("counters: counts by endpoint, by method and in total", "[metrics]") {
  counters seen;
  busy_day(seen);
  CHECK(seen.endpoint(here).attempts == 2);
  CHECK(seen.endpoint(here).ok() == 2);
  CHECK(seen.endpoint(here).picks == 2);
  CHECK(seen.endpoint(here).dials == 1);
  CHECK(seen.endpoint(here).connections_opened == 1);
  CHECK(seen.endpoint(here).connections_lost == 0);
  CHECK(seen.endpoint(there).attempts == 1);
  CHECK(seen.endpoint(there).ok() == 0);
  CHECK(seen.endpoint(there).too_many_pings == 1);
  CHECK(seen.endpoint("nowhere").attempts == 0);
  CHECK(seen.endpoints().size() == 2);
  CHECK(seen.methods().at(say).latency == 1s);
  CHECK(seen.total().attempts == 3);
  CHECK(seen.total().retries == 1);
  CHECK(seen.total().transparent_retries == 1);
  CHECK(seen.total().retry_denied(retry_denial::budget) == 1);
  CHECK(seen.total().retry_denied(retry_denial::deadline) == 0);
  CHECK(seen.total().pick_failures == 1);
  CHECK(seen.total().calls_revoked == 2);
}

TEST_CASE("counters: a connection is opened, dialled and lost by the slot's transitions alone", "[metrics]") {
  constexpr slot_state states[] = {slot_state::vacant, slot_state::idle,        slot_state::connecting,
                                   slot_state::ready,  slot_state::backing_off, slot_state::draining,
                                   slot_state::closed};
  for (slot_state from : states) {
    for (slot_state to : states) {
      INFO(to_string(from) << " -> " << to_string(to));
      counters seen;
      slot(seen, here, from, to);
      auto const& counts = seen.endpoint(here);
      CHECK(counts.dials == (from != to && to == slot_state::connecting));
      CHECK(counts.connections_opened == (from != to && to == slot_state::ready));
      CHECK(counts.connections_lost == (from == slot_state::ready && to != slot_state::ready &&
                                        to != slot_state::draining && to != slot_state::closed));
      for (slot_state state : states) {
        bool const counted = state == to && from != to && state != slot_state::vacant && state != slot_state::closed;
        CHECK(counts.slots[static_cast<std::size_t>(state)] == (counted ? 1 : 0));
      }
    }
  }
}

TEST_CASE("counters: a slot is in one state at a time", "[metrics]") {
  counters seen;
  for (int round = 0; round < 3; ++round) {
    slot(seen, here, slot_state::idle, slot_state::connecting);
    slot(seen, here, slot_state::connecting, slot_state::ready);
    slot(seen, here, slot_state::ready, slot_state::idle);
  }
  auto const& slots = seen.endpoint(here).slots;
  CHECK(slots[static_cast<std::size_t>(slot_state::idle)] == 1);
  CHECK(slots[static_cast<std::size_t>(slot_state::connecting)] == 0);
  CHECK(slots[static_cast<std::size_t>(slot_state::ready)] == 0);
}

TEST_CASE("counters: once all names are known, counting allocates nothing", "[metrics]") {
  counters seen;
  busy_day(seen);
  std::size_t const before = allocation_count();
  for (int i = 0; i < 100; ++i) busy_day(seen);
  CHECK(allocation_count() == before);
  CHECK(seen.total().attempts == 303);
}

TEST_CASE("counters: the text has the samples Prometheus is to read", "[metrics]") {
  counters seen;
  busy_day(seen);
  std::string const text = seen.prometheus_text();
  for (char const* line : {
           R"(# TYPE millrace_calls_total counter)",
           R"(# TYPE millrace_slots gauge)",
           R"(# TYPE millrace_call_duration_seconds summary)",
           R"(millrace_calls_started_total{method="/echo.Echo/Say"} 3)",
           R"(millrace_calls_total{method="/echo.Echo/Say",code="OK"} 2)",
           R"(millrace_calls_total{method="/echo.Echo/Say",code="UNAVAILABLE"} 1)",
           R"(millrace_call_duration_seconds_sum{method="/echo.Echo/Say"} 1)",
           R"(millrace_call_duration_seconds_count{method="/echo.Echo/Say"} 3)",
           R"(millrace_retries_total{method="/echo.Echo/Say"} 1)",
           R"(millrace_transparent_retries_total{method="/echo.Echo/Say"} 1)",
           R"(millrace_attempts_started_total{endpoint="127.0.0.1:5001"} 2)",
           R"(millrace_attempts_total{endpoint="127.0.0.1:5001",code="OK"} 2)",
           R"(millrace_attempts_total{endpoint="127.0.0.1:5002",code="UNAVAILABLE"} 1)",
           R"(millrace_picks_total{endpoint="127.0.0.1:5002"} 1)",
           R"(millrace_dials_total{endpoint="127.0.0.1:5002"} 1)",
           R"(millrace_connections_opened_total{endpoint="127.0.0.1:5001"} 1)",
           R"(millrace_connections_lost_total{endpoint="127.0.0.1:5001"} 0)",
           R"(millrace_too_many_pings_total{endpoint="127.0.0.1:5002"} 1)",
           R"(millrace_slots{endpoint="127.0.0.1:5001",state="ready"} 1)",
           R"(millrace_slots{endpoint="127.0.0.1:5001",state="idle"} 0)",
           R"(millrace_slots{endpoint="127.0.0.1:5002",state="backing_off"} 1)",
           R"(millrace_retries_denied_total{reason="budget"} 1)",
           R"(millrace_retries_denied_total{reason="pushback"} 0)",
           R"(millrace_pick_failures_total{reason="no endpoint is ready"} 1)",
           R"(millrace_drains_started_total 1)",
           R"(millrace_drains_finished_total 1)",
           R"(millrace_drain_revoked_calls_total 2)",
       }) {
    INFO(line << "\n-- is missing from --\n" << text);
    CHECK(has_line(text, line));
  }
}

TEST_CASE("counters: the text is well-formed, each family in one piece and each sample once", "[metrics]") {
  std::regex const help(R"(# HELP (millrace_[a-z_]+) [^\n]+)");
  std::regex const type(R"(# TYPE (millrace_[a-z_]+) (counter|gauge|summary))");
  std::regex const sample(
      R"re((millrace_[a-z_]+)(\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\})? [0-9.e+-]+)re");
  counters seen;
  bool const with_samples = GENERATE(false, true);
  if (with_samples) busy_day(seen);
  seen.on(events::call_started{{}, "a\\b\"c\nd"});

  std::set<std::string> families;
  std::set<std::string> samples;
  std::string family;
  std::string last_help;
  std::istringstream lines(seen.prometheus_text());
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    std::smatch found;
    if (std::regex_match(line, found, help)) {
      last_help = found[1];
    } else if (std::regex_match(line, found, type)) {
      family = found[1];
      CHECK(family == last_help);
      CHECK(families.insert(family).second);
      CHECK((found[2] == "counter") == family.ends_with("_total"));
    } else {
      REQUIRE(std::regex_match(line, found, sample));
      std::string const name = found[1];
      CHECK((name == family || name == family + "_sum" || name == family + "_count"));
      CHECK(samples.insert(line.substr(0, line.rfind(' '))).second);
    }
  }
  CHECK(families.size() == 26);
  CHECK(samples.contains(R"(millrace_calls_started_total{method="a\\b\"c\nd"})"));
}

TEST_CASE("counters: a code that gRPC does not know counts as UNKNOWN", "[metrics]") {
  counters seen;
  call(seen, here, static_cast<status_code>(99), 1ms);
  CHECK(has_line(seen.prometheus_text(), R"(millrace_attempts_total{endpoint="127.0.0.1:5001",code="UNKNOWN"} 1)"));
}

TEST_CASE("observer_list: tells every observer everything, until it is removed", "[metrics]") {
  counters first;
  counters second;
  observer_list both;
  both.add(first);
  both.add(second);
  busy_day(both);
  CHECK(first.total().attempts == 3);
  CHECK(first.prometheus_text() == second.prometheus_text());
  counters alone;
  busy_day(alone);
  CHECK(first.prometheus_text() == alone.prometheus_text());

  both.remove(first);
  busy_day(both);
  CHECK(first.total().attempts == 3);
  CHECK(second.total().attempts == 6);
}

TEST_CASE("counters: hedges are counted as they are sent, when they win, and when they are not sent", "[metrics]") {
  counters seen;
  seen.on(events::attempt_started{{}, say, here, 0, 1});
  seen.on(events::attempt_started{{}, say, there, 1, 2, true});
  seen.on(events::call_finished{{}, say, status_code::ok, 20ms, 2, true});
  seen.on(events::call_finished{{}, say, status_code::ok, 20ms, 2, false});
  seen.on(events::hedge_skipped{{}, say, hedge_skip::extra_load});
  CHECK(seen.total().attempts == 2);
  CHECK(seen.total().hedges == 1);
  CHECK(seen.total().hedge_wins == 1);
  CHECK(seen.total().hedges_skipped(hedge_skip::extra_load) == 1);
  CHECK(seen.total().hedges_skipped(hedge_skip::no_room) == 0);
  std::string const text = seen.prometheus_text();
  CHECK(has_line(text, R"(millrace_hedges_total{method="/echo.Echo/Say"} 1)"));
  CHECK(has_line(text, R"(millrace_hedge_wins_total{method="/echo.Echo/Say"} 1)"));
  CHECK(has_line(text, R"(millrace_hedges_skipped_total{reason="extra_load"} 1)"));
  CHECK(has_line(text, R"(millrace_hedges_skipped_total{reason="budget"} 0)"));
}
