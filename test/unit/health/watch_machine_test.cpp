// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/watch_machine.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::health;
using namespace std::chrono_literals;

namespace {

using input = decltype(watch_event_at::what);
using enum watch_state;

constexpr time_point start = time_point{} + 1000s;

/// One letter an action, in order.
std::string letters(watch_actions const& actions) {
  struct {
    char operator()(watch_action::open_watch) { return 'O'; }
    char operator()(watch_action::start_check) { return 'K'; }
    char operator()(watch_action::cancel) { return 'C'; }
    char operator()(watch_action::arm) { return 'A'; }
    char operator()(watch_action::disarm) { return 'D'; }
    char operator()(watch_action::publish) { return 'P'; }
  } letter;
  std::string text;
  for (auto const& one : actions) text += std::visit(letter, one);
  return text;
}

template <class Action>
Action const* find(watch_actions const& actions) {
  for (auto const& one : actions) {
    if (auto const* const found = std::get_if<Action>(&one)) return found;
  }
  return nullptr;
}

watch_event::answered answer(serving_status status) { return {status}; }
watch_event::ended end(status_code code, bool connected = true) { return {.code = code, .connected = connected}; }

struct fixture {
  explicit fixture(watch_params with = {}) : params(std::move(with)) {}

  watch_params params;
  rng random{1};
  watch_machine machine{params, random};
  time_point now = start;

  watch_actions step(input what) { return machine.step({now, what}); }

  // how long the timer that is armed waits
  duration wait(input what) {
    auto const actions = step(what);
    auto const* const armed = find<watch_action::arm>(actions);
    REQUIRE(armed != nullptr);
    return armed->at - now;
  }

  void lead_to(watch_state state) {
    if (state == stopped) return;
    step(watch_event::start{});
    switch (state) {
      case stopped:
      case opening: return;
      case watching: step(answer(serving_status::serving)); return;
      case backing_off: step(end(status_code::unavailable)); return;
      case checking: step(watch_event::elapsed{}); return;
      case resting:
        step(watch_event::elapsed{});
        step(answer(serving_status::serving));
        return;
      case exempt: step(end(status_code::unimplemented)); return;
    }
  }
};

constexpr watch_state states[] = {stopped, opening, watching, backing_off, checking, resting, exempt};

struct column {
  std::string name;
  input what;
};

std::vector<column> const columns = {
    {"start", watch_event::start{}},
    {"serving", answer(serving_status::serving)},
    {"not serving", answer(serving_status::not_serving)},
    {"unimplemented", end(status_code::unimplemented)},
    {"unavailable", end(status_code::unavailable)},
    {"not found", end(status_code::not_found)},
    {"lost", end(status_code::unavailable, false)},
    {"elapsed", watch_event::elapsed{}},
    {"stop", watch_event::stop{}},
};

/// What a cell of the table says: the next state, the actions' letters and what is known then.
struct cell {
  watch_state next;
  std::string actions;
  server_health known;
};

server_health known_in(watch_state state) {
  switch (state) {
    case stopped:
    case opening:
    case checking: return server_health::pending;
    case watching:
    case resting: return server_health::serving;
    case backing_off: return server_health::failing;
    case exempt: return server_health::unsupported;
  }
  return server_health::pending;
}

cell expected(watch_state from, std::string const& on) {
  using enum server_health;
  cell const nothing{from, "", known_in(from)};
  if (on == "stop") {
    bool const out = from == opening || from == watching || from == checking;
    bool const armed = from == opening || from == checking || from == backing_off || from == resting;
    return {stopped, std::string(out ? "C" : "") + (armed ? "D" : ""), pending};
  }
  switch (from) {
    case stopped:
      if (on == "start") return {opening, "POA", pending};
      return nothing;
    case opening:
      if (on == "start") return {opening, "CDOA", pending};
      if (on == "serving") return {watching, "DP", serving};
      if (on == "not serving") return {watching, "DP", not_serving};
      if (on == "unimplemented") return {exempt, "DP", unsupported};
      if (on == "unavailable" || on == "not found") return {backing_off, "AP", failing};
      if (on == "lost") return {backing_off, "A", pending};
      if (on == "elapsed") return {checking, "CKA", pending};
      return nothing;
    case watching:
      if (on == "start") return {opening, "COA", serving};
      if (on == "not serving") return {watching, "P", not_serving};
      if (on == "unimplemented") return {exempt, "P", unsupported};
      if (on == "unavailable" || on == "not found") return {backing_off, "AP", failing};
      if (on == "lost") return {backing_off, "A", serving};
      return nothing;
    case backing_off:
      if (on == "start") return {opening, "DOA", failing};
      if (on == "elapsed") return {opening, "OA", failing};
      return nothing;
    case checking:
      if (on == "start") return {opening, "CDOA", pending};
      if (on == "serving") return {resting, "AP", serving};
      if (on == "not serving") return {resting, "AP", not_serving};
      if (on == "unimplemented") return {exempt, "DP", unsupported};
      if (on == "unavailable") return {resting, "AP", failing};
      if (on == "not found") return {resting, "AP", service_unknown};
      if (on == "lost") return {resting, "A", pending};
      if (on == "elapsed") return {resting, "CAP", failing};
      return nothing;
    case resting:
      if (on == "start") return {opening, "DOA", serving};
      if (on == "elapsed") return {checking, "KA", serving};
      return nothing;
    case exempt:
      if (on == "start") return {opening, "OA", unsupported};
      return nothing;
  }
  return nothing;
}

}  // namespace

TEST_CASE("watch_machine: every state answers every input as the table says", "[health][watch]") {
  for (watch_state const from : states) {
    for (column const& on : columns) {
      fixture one;
      one.lead_to(from);
      REQUIRE(one.machine.state() == from);
      REQUIRE(one.machine.health() == known_in(from));
      auto const actions = one.step(on.what);
      cell const want = expected(from, on.name);
      INFO("state " << to_string(from) << ", input " << on.name);
      CHECK(to_string(one.machine.state()) == to_string(want.next));
      CHECK(letters(actions) == want.actions);
      CHECK(to_string(one.machine.health()) == to_string(want.known));
      if (auto const* const published = find<watch_action::publish>(actions)) {
        CHECK(published->health == want.known);
        CHECK_FALSE(published->why.empty());
      }
    }
  }
}

TEST_CASE("watch_machine: each status of a service is known as it is said", "[health][watch]") {
  auto const known = [](serving_status status) {
    fixture one;
    one.lead_to(opening);
    one.step(answer(status));
    return one.machine.health();
  };
  CHECK(known(serving_status::serving) == server_health::serving);
  CHECK(known(serving_status::not_serving) == server_health::not_serving);
  CHECK(known(serving_status::unknown) == server_health::not_serving);
  CHECK(known(serving_status::service_unknown) == server_health::service_unknown);
}

TEST_CASE("watch_machine: a server is usable while it serves, and while it has no health service", "[health][watch]") {
  CHECK(usable(server_health::serving));
  CHECK(usable(server_health::unsupported));
  for (auto const other :
       {server_health::pending, server_health::not_serving, server_health::service_unknown, server_health::failing}) {
    CHECK_FALSE(usable(other));
  }
}

TEST_CASE("watch_machine: what does not change is not published again", "[health][watch]") {
  fixture one;
  one.lead_to(watching);
  CHECK(letters(one.step(answer(serving_status::serving))) == "");
  CHECK(letters(one.step(answer(serving_status::not_serving))) == "P");
  CHECK(letters(one.step(answer(serving_status::not_serving))) == "");
  one.step(end(status_code::unavailable));
  one.step(watch_event::elapsed{});
  CHECK(letters(one.step(end(status_code::unavailable))) == "A");
  one.step(watch_event::elapsed{});
  auto const other = one.step(end(status_code::internal));
  CHECK(find<watch_action::publish>(other)->code == status_code::internal);
}

TEST_CASE("watch_machine: a Watch that fails unanswered is opened again after 1 s × 1.6 up to 120 s, ± 20 %",
          "[health][watch]") {
  fixture one;
  one.lead_to(opening);
  double seconds = 1;
  for (int failure = 0; failure < 20; ++failure) {
    duration const wait = one.wait(end(status_code::unavailable));
    CHECK(std::chrono::duration<double>(wait).count() >= seconds * 0.8);
    CHECK(std::chrono::duration<double>(wait).count() <= seconds * 1.2);
    seconds = std::min(seconds * 1.6, 120.0);
    one.now += wait;
    one.step(watch_event::elapsed{});
  }
  one.step(answer(serving_status::serving));
  one.now += 1h;
  CHECK(one.wait(end(status_code::unavailable)) == 0s);
  one.step(watch_event::elapsed{});
  CHECK(one.wait(end(status_code::unavailable)) <= 1200ms);
}

TEST_CASE("watch_machine: a server that answers and ends each time is asked once a second", "[health][watch]") {
  fixture one;
  one.lead_to(opening);
  for (int round = 0; round < 10; ++round) {
    one.now += 10ms;
    one.step(answer(serving_status::serving));
    one.now += 10ms;
    CHECK(one.wait(end(status_code::ok)) == 980ms);
    one.now += 980ms;
    one.step(watch_event::elapsed{});
  }
}

TEST_CASE("watch_machine: a Watch without an answer is given up after 5 s for Checks of 1 s every 10 s",
          "[health][watch]") {
  fixture one;
  CHECK(one.wait(watch_event::start{}) == 5s);
  one.now += 5s;
  auto const checking_now = one.step(watch_event::elapsed{});
  CHECK(find<watch_action::start_check>(checking_now)->until == one.now + 1s);
  CHECK(find<watch_action::arm>(checking_now)->at == one.now + 1s);
  duration least = 1h, most = 0s;
  for (int i = 0; i < 200; ++i) {
    duration const wait = one.wait(answer(serving_status::serving));
    least = std::min(least, wait);
    most = std::max(most, wait);
    one.now += wait;
    CHECK(letters(one.step(watch_event::elapsed{})) == "KA");
  }
  CHECK(least >= 9s);
  CHECK(least < 9100ms);
  CHECK(most <= 11s);
  CHECK(most > 10900ms);
}

TEST_CASE("watch_machine: gRFC A17's wait for ever is an initial_timeout without end", "[health][watch]") {
  fixture one{{.initial_timeout = duration::max()}};
  auto const actions = one.step(watch_event::start{});
  CHECK(find<watch_action::arm>(actions)->at == never);
}

TEST_CASE("watch_machine: after a lost connection it waits for another one, or for the backoff", "[health][watch]") {
  fixture one;
  one.lead_to(watching);
  one.now += 1h;
  duration const wait = one.wait(end(status_code::unavailable, false));
  CHECK(wait >= 800ms);
  CHECK(wait <= 1200ms);
  CHECK(letters(one.step(watch_event::start{})) == "DOA");
}

TEST_CASE("watch_machine: use_check never opens a Watch", "[health][watch]") {
  fixture one{{.use_check = true}};
  CHECK(letters(one.step(watch_event::start{})) == "PKA");
  for (int i = 0; i < 100; ++i) {
    CHECK(find<watch_action::open_watch>(one.step(end(status_code::unavailable))) == nullptr);
    CHECK(letters(one.step(watch_event::elapsed{})) == "KA");
  }
  CHECK(letters(one.step(watch_event::start{})) == "CDKA");
}

TEST_CASE("watch_machine: a Check that fails is made again after 1 s × 1.6, but at the latest after its interval",
          "[health][watch]") {
  fixture one{{.use_check = true}};
  one.step(watch_event::start{});
  double seconds = 1;
  for (int failure = 0; failure < 10; ++failure) {
    bool const times_out = failure % 2 == 0;
    auto const wait = std::chrono::duration<double>(times_out ? one.wait(watch_event::elapsed{})
                                                              : one.wait(end(status_code::unavailable)));
    CHECK(wait.count() >= std::min(seconds * 0.8, 10.0));
    CHECK(wait.count() <= std::min(seconds * 1.2, 10.0));
    seconds = std::min(seconds * 1.6, 120.0);
    one.step(watch_event::elapsed{});
  }
}

TEST_CASE("watch_machine: on another connection what is known stays until the answer", "[health][watch]") {
  fixture one;
  one.lead_to(watching);
  CHECK(letters(one.step(watch_event::start{})) == "COA");
  CHECK(one.machine.health() == server_health::serving);
  CHECK(letters(one.step(answer(serving_status::serving))) == "D");
  one.step(watch_event::start{});
  CHECK(letters(one.step(answer(serving_status::not_serving))) == "DP");
}

TEST_CASE("watch_machine: after a stop nothing is known", "[health][watch]") {
  fixture one;
  one.lead_to(exempt);
  CHECK(letters(one.step(watch_event::stop{})) == "");
  auto const again = one.step(watch_event::start{});
  CHECK(letters(again) == "POA");
  CHECK(find<watch_action::publish>(again)->health == server_health::pending);
  // the next connection may lead to a server that has one
  CHECK(letters(one.step(answer(serving_status::serving))) == "DP");
}

TEST_CASE("watch_machine: what is not allowed is refused by name", "[health][watch]") {
  auto const refused = [](watch_params const& params) {
    try {
      validate(params, "health.check");
    } catch (std::invalid_argument const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({}) == "");
  CHECK(refused({.initial_timeout = 0s}) == "health.check.initial_timeout is 0ms; allowed: more than 0ms");
  CHECK(refused({.check_interval = 0s}) == "health.check.check_interval is 0ms; allowed: more than 0ms");
  CHECK(refused({.check_timeout = -1s}) == "health.check.check_timeout is -1000ms; allowed: more than 0ms");
  CHECK(refused({.backoff = {.multiplier = 0.5}}) ==
        "health.check.backoff.multiplier is 0.5; allowed: a finite number of at least 1");
}
