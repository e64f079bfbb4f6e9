// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/event_pump.hpp>
#include <millrace/base/rng.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>

#include <support/catch.hpp>

#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

using input = decltype(call_event_at::what);

constexpr time_point start = time_point{} + 1000s;

std::string words(call_actions const& actions) {
  struct {
    std::string operator()(call_action::run_start) { return "run_start"; }
    std::string operator()(call_action::abandon_hold one) { return one.ending ? "abandon_ending" : "abandon"; }
    std::string operator()(call_action::queue) { return "queue"; }
    std::string operator()(call_action::leave_queue) { return "leave"; }
    std::string operator()(call_action::start_attempt) { return "attempt"; }
    std::string operator()(call_action::cancel_attempt) { return "cut"; }
    std::string operator()(call_action::wait one) { return one.transparent ? "wait_transparent" : "wait"; }
    std::string operator()(call_action::stop_waiting) { return "stop_waiting"; }
    std::string operator()(call_action::deny one) { return "deny_" + std::string(to_string(one.why)); }
    std::string operator()(call_action::end one) { return "end" + std::to_string(static_cast<int>(one.why)); }
    std::string operator()(call_action::complete) { return "complete"; }
  } word;
  std::string text;
  for (auto const& one : actions) text += (text.empty() ? "" : " ") + std::visit(word, one);
  return text;
}

std::string end(call_end why) { return "end" + std::to_string(static_cast<int>(why)); }

struct fixture {
  retry::retry_policy policy{};
  retry::budget budget{};
  rng random{1};
  call_machine machine{policy, budget, random, start + 60s};

  std::string step(input what) { return words(machine.step({start, what})); }

  void lead_to(call_state state) {
    switch (state) {
      case call_state::fresh: return;
      case call_state::starting: step(call_event::start{}); return;
      case call_state::queued:
        lead_to(call_state::starting);
        step(call_event::start_passed{});
        return;
      case call_state::attempting:
        lead_to(call_state::queued);
        step(call_event::admitted{});
        return;
      case call_state::backing_off:
        lead_to(call_state::attempting);
        step(call_event::attempt_done{.code = status_code::unavailable});
        return;
      case call_state::ending:
        lead_to(call_state::attempting);
        step(call_event::attempt_done{.code = status_code::ok});
        return;
      case call_state::ended:
        lead_to(call_state::ending);
        step(call_event::ended{});
        return;
    }
  }
};

constexpr call_state states[] = {call_state::fresh,      call_state::starting,    call_state::queued,
                                 call_state::attempting, call_state::backing_off, call_state::ending,
                                 call_state::ended};

struct column {
  std::string name;
  input what;
};

std::vector<column> const columns = {
    {"start", call_event::start{}},
    {"passed", call_event::start_passed{}},
    {"finished", call_event::start_finished{}},
    {"admitted", call_event::admitted{}},
    {"refused", call_event::refused{.may_retry = false}},
    {"hopeless", call_event::refused{.may_retry = true}},
    {"ok", call_event::attempt_done{.code = status_code::ok}},
    {"unavailable", call_event::attempt_done{.code = status_code::unavailable}},
    {"not_found", call_event::attempt_done{.code = status_code::not_found}},
    {"never_left", call_event::attempt_done{.code = status_code::not_found, .never_left = true}},
    {"committed", call_event::attempt_done{.code = status_code::unavailable, .committed = true}},
    {"elapsed", call_event::backoff_elapsed{}},
    {"deadline", call_event::deadline{}},
    {"total", call_event::cancel{cancel_depth::total}},
    {"partial", call_event::cancel{cancel_depth::partial}},
    {"terminal", call_event::cancel{cancel_depth::terminal}},
    {"revoke", call_event::revoke{}},
    {"ended", call_event::ended{}},
};

struct cell {
  call_state next;
  std::string actions;
};

/// What breaks a call off whose state needs `undo` ("" or "action ") first.
std::optional<cell> broken_off(std::string const& on, std::string const& undo, bool total) {
  using enum call_state;
  if (on == "deadline") return cell{ending, undo + end(call_end::deadline)};
  if (on == "revoke") return cell{ending, undo + end(call_end::revoked)};
  if (on == "partial" || on == "terminal" || (on == "total" && total)) {
    return cell{ending, undo + end(call_end::cancelled)};
  }
  return std::nullopt;
}

cell expected(call_state from, std::string const& on) {
  using enum call_state;
  cell const nothing{from, ""};
  switch (from) {
    case fresh:
      if (on == "start") return {starting, "run_start"};
      return broken_off(on, "", true).value_or(nothing);
    case starting:
      if (on == "passed") return {queued, "queue"};
      if (on == "finished") return {ending, end(call_end::intercepted)};
      return broken_off(on, "abandon ", true).value_or(nothing);
    case queued:
      if (on == "admitted") return {attempting, "attempt"};
      if (on == "refused") return {ending, end(call_end::not_admitted)};
      if (on == "hopeless") return {backing_off, "wait"};
      return broken_off(on, "leave ", true).value_or(nothing);
    case attempting:
      if (on == "ok") return {ending, end(call_end::attempt)};
      if (on == "unavailable") return {backing_off, "wait"};
      if (on == "not_found") return {ending, "deny_not_retryable " + end(call_end::attempt)};
      if (on == "never_left") return {backing_off, "wait_transparent"};
      if (on == "committed") return {ending, "deny_committed " + end(call_end::attempt)};
      if (on == "deadline" || on == "terminal" || on == "revoke") return {attempting, "cut"};
      return nothing;
    case backing_off:
      if (on == "elapsed") return {queued, "queue"};
      return broken_off(on, "stop_waiting ", false).value_or(nothing);
    case ending:
      if (on == "ended") return {ended, "complete"};
      if (on == "deadline" || on == "terminal" || on == "revoke" || on == "partial") return {ending, "abandon_ending"};
      return nothing;
    case ended: return nothing;
  }
  return nothing;
}

}  // namespace

TEST_CASE("call: every state answers every input as the table says", "[call]") {
  for (call_state const from : states) {
    for (column const& on : columns) {
      fixture one;
      one.lead_to(from);
      REQUIRE(one.machine.state() == from);
      cell const want = expected(from, on.name);
      INFO("state " << static_cast<int>(from) << ", input " << on.name);
      CHECK(one.step(on.what) == want.actions);
      CHECK(static_cast<int>(one.machine.state()) == static_cast<int>(want.next));
    }
  }
}

TEST_CASE("call: an attempt that was cut off ends the call with the first reason", "[call]") {
  fixture one;
  one.lead_to(call_state::attempting);
  CHECK(one.step(call_event::cancel{cancel_depth::terminal}) == "cut");
  CHECK(one.step(call_event::deadline{}).empty());
  CHECK(one.step(call_event::attempt_done{.code = status_code::cancelled}) == end(call_end::cancelled));
}

TEST_CASE("call: an attempt that succeeded before the cut took effect counts", "[call]") {
  fixture one;
  one.lead_to(call_state::attempting);
  one.step(call_event::deadline{});
  CHECK(one.step(call_event::attempt_done{.code = status_code::ok}) == end(call_end::attempt));
}

TEST_CASE("call: partial cancellation of an attempt in flight makes it the last one", "[call]") {
  fixture one;
  one.lead_to(call_state::attempting);
  CHECK(one.step(call_event::cancel{cancel_depth::partial}).empty());
  CHECK(one.step(call_event::attempt_done{.code = status_code::unavailable}) ==
        "deny_cancelled " + end(call_end::attempt));
}

TEST_CASE("call: total cancellation has no effect once an attempt was made", "[call]") {
  fixture one;
  one.lead_to(call_state::backing_off);
  one.step(call_event::backoff_elapsed{});
  CHECK(one.machine.state() == call_state::queued);
  CHECK(one.step(call_event::cancel{cancel_depth::total}).empty());
  CHECK(one.step(call_event::admitted{}) == "attempt");
  CHECK(one.machine.attempts() == 2);
  CHECK(one.machine.previous_attempts() == 1);
}

TEST_CASE("call: it makes the policy's attempts and no more", "[call]") {
  fixture one;
  one.lead_to(call_state::backing_off);
  one.step(call_event::backoff_elapsed{});
  one.step(call_event::admitted{});
  CHECK(one.step(call_event::attempt_done{.code = status_code::unavailable}) == "wait");
  one.step(call_event::backoff_elapsed{});
  one.step(call_event::admitted{});
  CHECK(one.step(call_event::attempt_done{.code = status_code::unavailable}) ==
        "deny_attempts " + end(call_end::attempt));
}

TEST_CASE("event_pump: what is fed from inside waits its turn, in order", "[base]") {
  event_pump<int> pump;
  std::vector<int> seen;
  auto const step = [&](auto const& self, int event) -> void {
    seen.push_back(event);
    if (event < 10) {
      pump.feed(event * 10, [&](int next) { self(self, next); });
      pump.feed(event * 10 + 1, [&](int next) { self(self, next); });
      seen.push_back(-event);
    }
  };
  pump.feed(1, [&](int event) { step(step, event); });
  CHECK(seen == std::vector{1, -1, 10, 11});
}
