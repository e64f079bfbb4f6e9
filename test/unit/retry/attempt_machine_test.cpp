// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/attempt_machine.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/retry/throttle.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <string_view>
#include <variant>

using namespace millrace;
using namespace std::chrono_literals;
using retry::attempt_action;
using retry::attempt_machine;
using retry::attempt_outcome;
using retry::budget;
using retry::retry_at;
using retry::retry_policy;

namespace {

constexpr time_point start = time_point{} + 1000s;
retry_policy const plain{.max_attempts = 3, .initial_backoff = 50ms, .max_backoff = 1s, .multiplier = 2, .jitter = 0};

attempt_outcome failed(time_point at = start) { return {.at = at, .code = status_code::unavailable}; }
attempt_outcome unsent(time_point at = start) {
  return {.at = at, .code = status_code::unavailable, .never_left = true};
}
attempt_outcome pushed_back(std::string_view value) {
  return {.at = start, .code = status_code::unavailable, .pushback = value};
}

std::optional<retry_denial> denial(attempt_action const& action) {
  auto const* why = std::get_if<retry_denial>(&action);
  return why == nullptr ? std::nullopt : std::optional{*why};
}

// how long after `from` the next attempt starts; negative when there is none
duration wait_of(attempt_action const& action, time_point from = start) {
  auto const* next = std::get_if<retry_at>(&action);
  return next == nullptr ? -1ns : next->at - from;
}

bool transparent(attempt_action const& action) {
  auto const* next = std::get_if<retry_at>(&action);
  return next != nullptr && next->transparent;
}

// a machine with what it refers to
struct call {
  explicit call(retry_policy with = plain, time_point deadline = never, retry::budget_params paid = {})
      : policy(with), funds(paid), machine(policy, funds, random, deadline) {}

  retry_policy policy;
  budget funds;
  rng random{5};
  attempt_machine machine;
};

// ---- the table: each dimension of an outcome, each value it can have

enum class pushed { none, zero, ten_ms, negative, garbage, blank, fraction, too_large };
constexpr std::array all_pushed{pushed::none,    pushed::zero,  pushed::ten_ms,   pushed::negative,
                                pushed::garbage, pushed::blank, pushed::fraction, pushed::too_large};

std::optional<std::string_view> text(pushed value) {
  switch (value) {
    case pushed::none: return std::nullopt;
    case pushed::zero: return "0";
    case pushed::ten_ms: return "10";
    case pushed::negative: return "-1";
    case pushed::garbage: return "soon";
    case pushed::blank: return "";
    case pushed::fraction: return "1.5";
    case pushed::too_large: return "9223372036854775808";
  }
  return std::nullopt;
}

enum class room { none, little, much };  // until the deadline: 0, 20 ms, 1 h

struct input {
  bool cancelled;
  bool committed;
  bool never_left;
  bool in_set;
  pushed pushback;
  bool attempts_left;
  room deadline;
  bool budget_left;
};

std::ostream& operator<<(std::ostream& out, input const& cell) {
  return out << "cancelled " << cell.cancelled << ", committed " << cell.committed << ", never_left " << cell.never_left
             << ", in set " << cell.in_set << ", pushback \"" << text(cell.pushback).value_or("(none)")
             << "\", attempts left " << cell.attempts_left << ", room " << static_cast<int>(cell.deadline)
             << ", budget left " << cell.budget_left;
}

template <class Visit>
void for_each_input(Visit visit) {
  for (unsigned bits = 0; bits < 64; ++bits) {
    auto const bit = [bits](unsigned at) { return (bits >> at & 1u) != 0; };
    for (pushed pushback : all_pushed) {
      for (room deadline : {room::none, room::little, room::much}) {
        visit(input{bit(0), bit(1), bit(2), bit(3), pushback, bit(4), deadline, bit(5)});
      }
    }
  }
}

// how long the retry would wait; none when the pushback forbids one
std::optional<duration> requested_wait(input const& cell) {
  if (cell.never_left) return 0ms;
  switch (cell.pushback) {
    case pushed::none: return 50ms;
    case pushed::zero: return 0ms;
    case pushed::ten_ms: return 10ms;
    case pushed::negative:
    case pushed::garbage:
    case pushed::blank:
    case pushed::fraction:
    case pushed::too_large: return std::nullopt;
  }
  return std::nullopt;
}

bool fits(duration wait, room deadline) { return deadline == room::much || (deadline == room::little && wait < 20ms); }

// yes, no, or whatever
enum class cell { no, yes, any };

struct row {
  cell cancelled, committed, never_left, in_set, attempts_left, may_wait, in_time, budget_left;
  std::optional<retry_denial> answer;  // none: a retry
};

using enum cell;

// as the header's table, columns as in `row`; each input meets exactly one row
constexpr std::array rules{
    row{yes, any, any, any, any, any, any, any, retry_denial::cancelled},
    row{no, yes, any, any, any, any, any, any, retry_denial::committed},
    row{no, no, yes, any, any, any, no, any, retry_denial::deadline},
    row{no, no, yes, any, any, any, yes, no, retry_denial::budget},
    row{no, no, yes, any, any, any, yes, yes, std::nullopt},
    row{no, no, no, no, any, any, any, any, retry_denial::not_retryable},
    row{no, no, no, yes, no, any, any, any, retry_denial::attempts},
    row{no, no, no, yes, yes, no, any, any, retry_denial::pushback},
    row{no, no, no, yes, yes, yes, no, any, retry_denial::deadline},
    row{no, no, no, yes, yes, yes, yes, no, retry_denial::budget},
    row{no, no, no, yes, yes, yes, yes, yes, std::nullopt},
};

bool meets(cell wanted, bool value) { return wanted == any || (wanted == yes) == value; }

bool applies(row const& rule, input const& in) {
  auto const wait = requested_wait(in);
  return meets(rule.cancelled, in.cancelled) && meets(rule.committed, in.committed) &&
         meets(rule.never_left, in.never_left) && meets(rule.in_set, in.in_set) &&
         meets(rule.attempts_left, in.attempts_left) && meets(rule.may_wait, wait.has_value()) &&
         meets(rule.in_time, wait && fits(*wait, in.deadline)) && meets(rule.budget_left, in.budget_left);
}

time_point deadline_of(room left) {
  switch (left) {
    case room::none: return start;
    case room::little: return start + 20ms;
    case room::much: return start + 1h;
  }
  return never;
}

void check(input const& in, row const& rule) {
  retry_policy policy = plain;
  if (!in.attempts_left) policy.max_attempts = 1;
  call one{policy, deadline_of(in.deadline), {.percent = 0, .min_per_second = in.budget_left ? 10.0 : 0.0}};
  if (in.cancelled) one.machine.cancel();

  auto const action = one.machine.resume({.at = start,
                                          .code = in.in_set ? status_code::unavailable : status_code::internal,
                                          .committed = in.committed,
                                          .never_left = in.never_left,
                                          .pushback = text(in.pushback)});
  CHECK(denial(action) == rule.answer);
  if (!rule.answer) {
    CHECK(wait_of(action) == *requested_wait(in));
    CHECK(transparent(action) == in.never_left);
  }
  // only a retry is paid for, and only a refusal for lack of funds shows as one
  CHECK(one.funds.withdrawn() == (rule.answer ? 0 : 1));
  CHECK(one.funds.denied() == (rule.answer == retry_denial::budget ? 1 : 0));
  unsigned const counted = in.never_left && !in.committed ? 0 : 1;
  CHECK(one.machine.attempts() == counted);
  CHECK(one.machine.previous_attempts() == counted);
}

}  // namespace

TEST_CASE("attempt_machine: every combination of inputs meets its rule", "[retry][attempt_machine]") {
  int combinations = 0;
  for_each_input([&](input const& in) {
    INFO(in);
    row const* found = nullptr;
    for (row const& rule : rules) {
      if (!applies(rule, in)) continue;
      REQUIRE(found == nullptr);
      found = &rule;
    }
    REQUIRE(found != nullptr);
    check(in, *found);
    ++combinations;
  });
  CHECK(combinations == 64 * 8 * 3);
}

TEST_CASE("attempt_machine: exactly the policy's codes are tried again", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.retryable = {status_code::unavailable, status_code::aborted, status_code::resource_exhausted};
  for (int number = 1; number < status_code_count; ++number) {
    auto const code = static_cast<status_code>(number);
    call one{policy};
    bool const again = !denial(one.machine.resume({.at = start, .code = code}));
    CHECK(again == policy.retryable.contains(code));
  }
}

TEST_CASE("attempt_machine: max_attempts counts the first attempt", "[retry][attempt_machine]") {
  for (unsigned most = 1; most <= retry::most_attempts; ++most) {
    retry_policy policy = plain;
    policy.max_attempts = most;
    call one{policy};
    unsigned attempts = 1;
    while (!denial(one.machine.resume(failed()))) ++attempts;
    CHECK(attempts == most);
    CHECK(one.machine.attempts() == most);
    CHECK(one.funds.withdrawn() == most - 1);
  }
}

TEST_CASE("attempt_machine: the waits are the policy's backoff", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.max_attempts = 5;
  policy.max_backoff = 150ms;
  call one{policy};
  for (auto expected : {50ms, 100ms, 150ms, 150ms}) CHECK(wait_of(one.machine.resume(failed())) == expected);
}

TEST_CASE("attempt_machine: the waits carry the policy's jitter", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.jitter = 0.2;
  rng random{99};
  budget funds{{.min_per_second = 1000}};
  duration least = 1h, most = 0s;
  for (int i = 0; i < 1000; ++i) {
    attempt_machine machine{policy, funds, random, never};
    duration const wait = wait_of(machine.resume(failed()));
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  CHECK(least >= 40ms);
  CHECK(least < 41ms);
  CHECK(most <= 60ms);
  CHECK(most > 59ms);
}

TEST_CASE("attempt_machine: a pushback is waited exactly, whatever the jitter and max_backoff",
          "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.jitter = 1;
  call one{policy};
  CHECK(wait_of(one.machine.resume(pushed_back("7000"))) == 7s);
}

TEST_CASE("attempt_machine: a pushback resets the backoff", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.max_attempts = 5;
  call one{policy};
  CHECK(wait_of(one.machine.resume(failed())) == 50ms);
  CHECK(wait_of(one.machine.resume(failed())) == 100ms);
  CHECK(wait_of(one.machine.resume(pushed_back("3"))) == 3ms);
  CHECK(wait_of(one.machine.resume(failed())) == 50ms);
}

TEST_CASE("attempt_machine: a pushback that is no number of milliseconds forbids a retry", "[retry][attempt_machine]") {
  for (std::string_view value :
       {"-1", "-0.5", "+5", " 5", "5 ", "5ms", "0x5", "", "-", "1e3", "99999999999999999999"}) {
    INFO('"' << value << '"');
    call one;
    CHECK(denial(one.machine.resume(pushed_back(value))) == retry_denial::pushback);
  }
}

TEST_CASE("attempt_machine: the longest pushback misses any deadline, even none", "[retry][attempt_machine]") {
  call one;
  CHECK(denial(one.machine.resume(pushed_back("9223372036854775807"))) == retry_denial::deadline);
}

TEST_CASE("attempt_machine: a retry must start before the deadline, not at it", "[retry][attempt_machine]") {
  call late{plain, start + 50ms};
  CHECK(denial(late.machine.resume(failed())) == retry_denial::deadline);
  call in_time{plain, start + 50ms + 1ns};
  CHECK(wait_of(in_time.machine.resume(failed())) == 50ms);
}

TEST_CASE("attempt_machine: an attempt that never left is repeated at once, the next ones back off",
          "[retry][attempt_machine]") {
  call one;
  for (auto expected : {0ms, 50ms, 100ms, 200ms}) {
    auto const action = one.machine.resume(unsent());
    CHECK(wait_of(action) == expected);
    CHECK(transparent(action));
  }
  CHECK(one.machine.attempts() == 0);
  CHECK(one.machine.previous_attempts() == 0);
  CHECK(one.funds.withdrawn() == 4);
}

TEST_CASE("attempt_machine: transparent retries do not count for the policy", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.max_attempts = 2;
  call one{policy};
  CHECK_FALSE(denial(one.machine.resume(unsent())));
  CHECK_FALSE(denial(one.machine.resume(failed())));
  CHECK_FALSE(denial(one.machine.resume(unsent())));
  CHECK(one.machine.previous_attempts() == 1);
  CHECK(denial(one.machine.resume(failed())) == retry_denial::attempts);
  CHECK(one.machine.attempts() == 2);
}

TEST_CASE("attempt_machine: both kinds of retry share one backoff", "[retry][attempt_machine]") {
  call one;
  CHECK(wait_of(one.machine.resume(unsent())) == 0ms);
  CHECK(wait_of(one.machine.resume(failed())) == 50ms);
  CHECK(wait_of(one.machine.resume(unsent())) == 100ms);
  CHECK(wait_of(one.machine.resume(failed())) == 200ms);
}

TEST_CASE("attempt_machine: a call that never gets out ends after its bound of transparent retries",
          "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.max_attempts = 1;
  call one{policy};
  for (unsigned retries = 0; retries < attempt_machine::most_transparent; ++retries) {
    CHECK(transparent(one.machine.resume(unsent())));
  }
  CHECK(denial(one.machine.resume(unsent())) == retry_denial::attempts);
  CHECK(one.funds.withdrawn() == 10);
  CHECK(one.machine.attempts() == 0);
}

TEST_CASE("attempt_machine: a budget that runs dry ends the call", "[retry][attempt_machine]") {
  retry_policy policy = plain;
  policy.max_attempts = 5;
  call one{policy, never, {.percent = 1, .min_per_second = 0}};
  one.funds.deposit(start);
  one.funds.deposit(start);
  CHECK_FALSE(denial(one.machine.resume(unsent())));
  CHECK_FALSE(denial(one.machine.resume(failed())));
  CHECK(denial(one.machine.resume(failed())) == retry_denial::budget);
}

TEST_CASE("attempt_machine: a cancelled call still counts the attempt in flight", "[retry][attempt_machine]") {
  call one;
  CHECK_FALSE(denial(one.machine.resume(failed())));
  one.machine.cancel();
  CHECK(denial(one.machine.resume(failed())) == retry_denial::cancelled);
  CHECK(denial(one.machine.resume(unsent())) == retry_denial::cancelled);
  CHECK(one.machine.attempts() == 2);
  CHECK(one.funds.withdrawn() == 1);
}

TEST_CASE("attempt_machine: a denial is final", "[retry][attempt_machine]") {
  call one;
  CHECK(denial(one.machine.resume({.at = start, .code = status_code::internal})) == retry_denial::not_retryable);
  CHECK(denial(one.machine.resume(failed())) == retry_denial::not_retryable);
  CHECK(denial(one.machine.resume(unsent())) == retry_denial::not_retryable);
  CHECK(one.funds.withdrawn() == 0);
}

TEST_CASE("attempt_machine: an attempt whose own time was up is worth another, whatever its code",
          "[retry][attempt_machine]") {
  call one;
  CHECK(wait_of(one.machine.resume({.at = start, .code = status_code::deadline_exceeded, .timed_out = true})) == 50ms);
  CHECK(denial(one.machine.resume({.at = start, .code = status_code::deadline_exceeded})) ==
        retry_denial::not_retryable);
}

namespace {

retry_policy ruled(retry::retry_rule rule) {
  retry_policy policy = plain;
  policy.max_attempts = 3;
  policy.retryable = {};
  policy.rule = std::move(rule);
  return policy;
}

}  // namespace

TEST_CASE("attempt_machine: a rule decides in place of codes, backoff and pushback", "[retry][attempt_machine]") {
  std::optional<retry::failed_attempt> asked;
  retry_policy const policy = ruled([&](retry::failed_attempt const& after) -> std::optional<duration> {
    asked = after;
    return 70ms;
  });
  call one{policy};
  CHECK(wait_of(one.machine.resume({.at = start, .code = status_code::internal, .pushback = "-1", .elapsed = 5ms})) ==
        70ms);
  REQUIRE(asked);
  CHECK(asked->code == status_code::internal);
  CHECK(asked->attempts == 1);
  CHECK(asked->elapsed == 5ms);
  CHECK(asked->pushback == "-1");
  CHECK_FALSE(asked->timed_out);
}

TEST_CASE("attempt_machine: a rule is bounded by max_attempts, deadline and budget", "[retry][attempt_machine]") {
  retry_policy const policy = ruled([](retry::failed_attempt const&) { return std::optional<duration>(1s); });
  SECTION("max_attempts") {
    call one{policy};
    one.machine.resume(failed());
    one.machine.resume(failed());
    CHECK(denial(one.machine.resume(failed())) == retry_denial::attempts);
  }
  SECTION("the deadline") {
    call one{policy, start + 1s};
    CHECK(denial(one.machine.resume(failed())) == retry_denial::deadline);
  }
  SECTION("the budget") {
    call one{policy, never, {.percent = 0, .min_per_second = 0}};
    CHECK(denial(one.machine.resume(failed())) == retry_denial::budget);
  }
}

TEST_CASE("attempt_machine: a rule that says none, or throws, ends the call; one that says less than none means now",
          "[retry][attempt_machine]") {
  call none{ruled([](retry::failed_attempt const&) { return std::optional<duration>(); })};
  CHECK(denial(none.machine.resume(failed())) == retry_denial::not_retryable);
  call throws{ruled([](retry::failed_attempt const&) -> std::optional<duration> { throw 1; })};
  CHECK(denial(throws.machine.resume(failed())) == retry_denial::not_retryable);
  call past{ruled([](retry::failed_attempt const&) { return std::optional<duration>(-1s); })};
  CHECK(wait_of(past.machine.resume(failed())) == 0ms);
}

TEST_CASE("attempt_machine: a rule is not asked about what never left", "[retry][attempt_machine]") {
  call one{ruled([](retry::failed_attempt const&) { return std::optional<duration>(); })};
  CHECK(transparent(one.machine.resume(unsent())));
}

TEST_CASE("retry_denial: each reason has its name", "[retry]") {
  CHECK(to_string(retry_denial::budget) == "budget");
  CHECK(to_string(retry_denial::attempts) == "attempts");
  CHECK(to_string(retry_denial::not_retryable) == "not_retryable");
  CHECK(to_string(retry_denial::pushback) == "pushback");
  CHECK(to_string(retry_denial::committed) == "committed");
  CHECK(to_string(retry_denial::deadline) == "deadline");
  CHECK(to_string(retry_denial::cancelled) == "cancelled");
}

TEST_CASE("attempt: one whose endpoint was taken away costs the server's throttle nothing", "[retry][throttle]") {
  retry::throttle of_server({.max_tokens = 2, .token_ratio = 0.1});
  bool const evicted = GENERATE(true, false);
  call one;
  attempt_machine machine(one.policy, one.funds, one.random, never, &of_server);
  static_cast<void>(
      machine.resume_beside({.at = start, .code = status_code::unavailable, .timed_out = true, .evicted = evicted}));
  CHECK(of_server.allows_retry() == evicted);
}
