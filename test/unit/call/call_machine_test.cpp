// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/event_pump.hpp>
#include <millrace/base/rng.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/hedging.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/retry/throttle.hpp>

#include <support/catch.hpp>

#include <algorithm>
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
    std::string operator()(hedge_action::arm one) {
      auto const wait = std::chrono::duration_cast<std::chrono::milliseconds>(one.at - start);
      return "hedge_in_" + std::to_string(wait.count());
    }
    std::string operator()(hedge_action::admit) { return "try_hedge"; }
    std::string operator()(hedge_action::start) { return "hedge"; }
    std::string operator()(hedge_action::drop) { return "drop_hedge"; }
    std::string operator()(hedge_action::skip one) { return "skip_" + std::string(to_string(one.why)); }
    std::string operator()(call_action::hedge one) { return std::visit(*this, one.what); }
    std::string operator()(call_action::cancel_attempts) { return "cut"; }
    std::string operator()(call_action::wait one) { return one.transparent ? "wait_transparent" : "wait"; }
    std::string operator()(call_action::stop_waiting) { return "stop_waiting"; }
    std::string operator()(call_action::end one) {
      std::string const why = "end" + std::to_string(static_cast<int>(one.why));
      return one.no_retry ? "deny_" + std::string(to_string(*one.no_retry)) + " " + why : why;
    }
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
    {"elapsed", call_event::elapsed{}},
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
  if (on == "hedge_admitted")
    return {from, "drop_hedge"};  // of a call that is not hedged, or does not want it any more
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
      if (on == "admitted") return {attempting, "drop_hedge"};  // it is not hedged, or does not want it any more
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

TEST_CASE("call: an attempt that was cut off and does not come back is not waited for", "[call]") {
  fixture with;
  with.lead_to(call_state::attempting);
  CHECK(with.step(call_event::deadline{}) == "cut");
  CHECK(with.step(call_event::elapsed{}) == end(call_end::deadline));
  CHECK(with.step(call_event::attempt_done{.code = status_code::cancelled}).empty());
  CHECK(with.step(call_event::ended{}) == "complete");
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
  one.step(call_event::elapsed{});
  CHECK(one.machine.state() == call_state::queued);
  CHECK(one.step(call_event::cancel{cancel_depth::total}).empty());
  CHECK(one.step(call_event::admitted{}) == "attempt");
  CHECK(one.machine.attempts() == 2);
  CHECK(one.machine.previous_attempts() == 1);
}

TEST_CASE("call: one whose deadline has passed when it could start asks for no slot", "[call]") {
  fixture one;
  one.lead_to(call_state::starting);
  one.machine.shorten_deadline(start);
  CHECK(one.step(call_event::start_passed{}) == end(call_end::deadline));
}

TEST_CASE("call: it makes the policy's attempts and no more", "[call]") {
  fixture one;
  one.lead_to(call_state::backing_off);
  one.step(call_event::elapsed{});
  one.step(call_event::admitted{});
  CHECK(one.step(call_event::attempt_done{.code = status_code::unavailable}) == "wait");
  one.step(call_event::elapsed{});
  one.step(call_event::admitted{});
  CHECK(one.step(call_event::attempt_done{.code = status_code::unavailable}) ==
        "deny_attempts " + end(call_end::attempt));
}

// ---- hedged calls: all while attempting

namespace {

struct hedged {
  retry::hedging_policy policy{.max_attempts = 3, .delay = 20ms};
  retry::retry_policy const plain{};
  retry::retry_policy const sequential = retry::sequential(policy, plain);
  retry::budget budget{};
  retry::budget extra{{.percent = 0, .min_per_second = 1}};
  std::optional<retry::throttle> throttle{};
  rng random{1};
  std::optional<call_machine> machine{};
  time_point now = start;

  std::string step(input what) { return words(machine->step({now, what})); }

  /// With so many attempts in flight.
  void lead_to(unsigned in_flight, time_point deadline = start + 60s) {
    machine.emplace(plain, budget, random, deadline, throttle ? &*throttle : nullptr);
    machine->hedge_by(sequential, policy.delay, extra);
    step(call_event::start{});
    step(call_event::start_passed{});
    step(call_event::admitted{});
    while (--in_flight > 0) step(call_event::admitted{});
  }

  void spend(retry::budget& one) {
    while (one.try_withdraw(now)) {
    }
  }
};

metadata_view view(std::string_view const& pushback) {
  return {&pushback, 1, [](void const* value, std::size_t) noexcept -> metadata_view::entry {
            return {"grpc-retry-pushback-ms", *static_cast<std::string_view const*>(value)};
          }};
}

call_event::attempt_done failed(status_code code, std::string_view pushback = {}) {
  static constexpr std::string_view texts[] = {"70", "0", "-1", "soon"};
  static metadata_view const views[] = {view(texts[0]), view(texts[1]), view(texts[2]), view(texts[3])};
  auto const at = std::ranges::find(texts, pushback) - std::begin(texts);
  return {.code = code, .trailers = pushback.empty() ? nullptr : &views[at]};
}

struct hedge_row {
  unsigned in_flight;
  input what;
  std::string actions;
};

}  // namespace

TEST_CASE("call: a hedged call answers every input as the table says, however many attempts are in flight",
          "[call][hedge]") {
  std::string const ended = end(call_end::attempt);
  auto const row = GENERATE_COPY(values<hedge_row>({
      {1, call_event::elapsed{}, "try_hedge"},
      {2, call_event::elapsed{}, "try_hedge"},
      {3, call_event::elapsed{}, ""},
      {1, call_event::admitted{}, "hedge hedge_in_20"},
      {2, call_event::admitted{}, "hedge"},
      {3, call_event::admitted{}, "drop_hedge"},
      {1, call_event::refused{.may_retry = false}, "skip_no_room hedge_in_20"},
      {2, call_event::refused{.may_retry = false}, "skip_no_room"},
      {3, call_event::refused{.may_retry = false}, ""},
      {1, failed(status_code::ok), ended},
      {2, failed(status_code::ok), ended},
      {3, failed(status_code::ok), ended},
      {1, failed(status_code::unavailable), "wait"},
      {2, failed(status_code::unavailable), "try_hedge"},
      {3, failed(status_code::unavailable), ""},
      {1, failed(status_code::not_found), "deny_not_retryable " + ended},
      {2, failed(status_code::not_found), "deny_not_retryable " + ended},
      {3, failed(status_code::not_found), "deny_not_retryable " + ended},
      {2, call_event::attempt_done{.code = status_code::unavailable, .committed = true}, "deny_committed " + ended},
      {2, call_event::attempt_done{.code = status_code::cancelled, .cut_off = true}, "try_hedge"},
      {1, call_event::attempt_done{.code = status_code::unavailable, .never_left = true}, "wait_transparent"},
      {2, call_event::attempt_done{.code = status_code::unavailable, .never_left = true}, "try_hedge"},
      {3, call_event::attempt_done{.code = status_code::unavailable, .never_left = true}, "try_hedge"},
      {1, failed(status_code::unavailable, "70"), "wait"},
      {2, failed(status_code::unavailable, "70"), "hedge_in_70"},
      {3, failed(status_code::unavailable, "70"), ""},
      {2, failed(status_code::unavailable, "0"), "try_hedge"},
      {1, failed(status_code::unavailable, "-1"), "deny_pushback " + ended},
      {2, failed(status_code::unavailable, "-1"), ""},
      {2, failed(status_code::unavailable, "soon"), ""},
      {2, call_event::cancel{cancel_depth::total}, ""},
      {2, call_event::cancel{cancel_depth::partial}, ""},
      {2, call_event::cancel{cancel_depth::terminal}, "cut"},
      {2, call_event::deadline{}, "cut"},
      {2, call_event::revoke{}, "cut"},
  }));
  hedged one;
  one.lead_to(row.in_flight);
  INFO(row.in_flight << " in flight, input " << row.what.index());
  CHECK(one.step(row.what) == row.actions);
}

TEST_CASE("call: the first hedge is due a delay after the first attempt", "[call][hedge]") {
  hedged one;
  one.machine.emplace(one.plain, one.budget, one.random, start + 60s);
  one.machine->hedge_by(one.sequential, 20ms, one.extra);
  one.step(call_event::start{});
  one.step(call_event::start_passed{});
  CHECK(one.step(call_event::admitted{}) == "attempt hedge_in_20");
}

TEST_CASE("call: without a delay there is no hedge, and still no retry but at once", "[call][hedge]") {
  hedged one;
  one.policy.delay.reset();
  one.lead_to(1);
  CHECK(one.step(call_event::elapsed{}).empty());
  CHECK(one.step(failed(status_code::unavailable)) == "wait");
}

TEST_CASE("call: no hedge is due at or after the deadline", "[call][hedge]") {
  hedged one;
  one.lead_to(1, start + 20ms);
  CHECK(one.step(call_event::admitted{}) == "hedge");
}

TEST_CASE("call: a hedge is paid for from both budgets when it is sent, and skipped when one is empty",
          "[call][hedge]") {
  hedged one;
  one.lead_to(1);
  double const before = one.budget.balance(start);
  one.step(call_event::elapsed{});
  CHECK(one.budget.balance(start) == before);
  one.step(call_event::admitted{});
  CHECK(one.budget.balance(start) == before - 1);
  CHECK(one.extra.withdrawn() == 1);
  SECTION("the pool's") {
    one.spend(one.budget);
    CHECK(one.step(call_event::elapsed{}) == "skip_budget");
  }
  SECTION("the client's extra load") {
    one.spend(one.extra);
    CHECK(one.step(call_event::elapsed{}) == "skip_extra_load");
  }
}

TEST_CASE("call: a server that fails too often gets no hedges", "[call][hedge]") {
  hedged one;
  one.throttle.emplace(retry::throttle_params{.max_tokens = 2});
  one.lead_to(2);
  CHECK(one.step(failed(status_code::unavailable)) == "skip_budget");
}

TEST_CASE("call: after a negative pushback the others may still win, and no hedge follows", "[call][hedge]") {
  hedged one;
  one.lead_to(2);
  one.step(failed(status_code::unavailable, "-1"));
  CHECK(one.step(call_event::elapsed{}).empty());
  SECTION("they win") { CHECK(one.step(failed(status_code::ok)) == end(call_end::attempt)); }
  SECTION("they do not") {
    CHECK(one.step(failed(status_code::unavailable)) == "deny_pushback " + end(call_end::attempt));
  }
}

TEST_CASE("call: after a pushback that outlasts the deadline no hedge follows, not even the one that was due",
          "[call][hedge]") {
  hedged one;
  one.lead_to(2, start + 50ms);
  CHECK(one.step(failed(status_code::unavailable, "70")).empty());
  one.now += 20ms;
  CHECK(one.step(call_event::elapsed{}).empty());
  CHECK(one.step(failed(status_code::unavailable)) == "deny_deadline " + end(call_end::attempt));
}

TEST_CASE("call: when all hedges have failed the call ends as the last of them", "[call][hedge]") {
  hedged one;
  one.lead_to(3);
  CHECK(one.step(failed(status_code::unavailable)).empty());
  CHECK(one.step(failed(status_code::unavailable)).empty());
  CHECK(one.step(failed(status_code::unavailable)) == "deny_attempts " + end(call_end::attempt));
}

TEST_CASE("call: a hedge that was skipped is made up for when nothing is in flight", "[call][hedge]") {
  hedged one;
  one.lead_to(1);
  one.step(call_event::refused{.may_retry = false});
  one.step(call_event::refused{.may_retry = false});
  CHECK(one.step(call_event::elapsed{}).empty());
  CHECK(one.step(failed(status_code::unavailable)) == "wait");
  one.step(call_event::elapsed{});
  CHECK(one.step(call_event::admitted{}) == "attempt");
}

TEST_CASE("call: one cut is enough to end a hedged call, and the others then count no more", "[call][hedge]") {
  hedged one;
  one.lead_to(2);
  CHECK(one.step(call_event::cancel{cancel_depth::terminal}) == "cut");
  CHECK(one.step(call_event::admitted{}) == "drop_hedge");
  CHECK(one.step(failed(status_code::cancelled)) == end(call_end::cancelled));
  CHECK(one.step(failed(status_code::ok)).empty());
}

TEST_CASE("call: a hedge tells the server how many attempts were sent before it", "[call][hedge]") {
  hedged one;
  one.lead_to(2);
  CHECK(one.machine->previous_attempts() == 1);
  one.step(failed(status_code::unavailable));
  one.step(call_event::admitted{});
  CHECK(one.machine->previous_attempts() == 2);
  CHECK(one.machine->attempts() == 3);
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
