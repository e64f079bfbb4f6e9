// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/resolve/dns_machine.hpp>

#include <support/catch.hpp>

#include <vector>

using namespace millrace;
using namespace millrace::resolve;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 1000s;

// no jitter, so that every time is known
constexpr dns_params plain{.refresh_interval = 30s,
                           .jitter = 0,
                           .evidence = {.initial = 1s, .multiplier = 2, .max = 8s, .jitter = 0},
                           .backoff = {.initial = 500ms, .multiplier = 2, .max = 4s, .jitter = 0}};

std::vector<std::string> const two{"1.1.1.1:1", "2.2.2.2:1"};

enum class input { started, same, changed, none, failed, hinted, elapsed };
constexpr std::initializer_list<input> inputs{input::started, input::same,   input::changed, input::none,
                                              input::failed,  input::hinted, input::elapsed};

// a machine and its clock; what it does becomes text: "publish 2, arm +30000ms"
struct story {
  explicit story(dns_params const& with = plain) : params(with), machine(params, random) {}

  std::string feed(input what, duration later = 0s) {
    now += later;
    switch (what) {
      case input::started: return step(dns_event::start{});
      case input::same: return step(dns_event::answered{two, false});
      case input::changed: return step(dns_event::answered{two, true});
      case input::none: return step(dns_event::answered{{}, true});
      case input::failed: return step(dns_event::failed{"no such name"});
      case input::hinted: return step(dns_event::hint{});
      case input::elapsed: return step(dns_event::elapsed{});
    }
    return {};
  }

  template <class Event>
  std::string step(Event what) {
    std::string text;
    for (dns_action_any const& any : machine.step({now, what})) {
      text.append(text.empty() ? "" : ", ").append(std::visit([this](auto const& one) { return told(one); }, any));
    }
    return text;
  }

  std::string told(dns_action::look_up) { return "look_up"; }
  std::string told(dns_action::arm action) {
    return "arm +" + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(action.at - now).count()) +
           "ms";
  }
  std::string told(dns_action::publish action) { return "publish " + std::to_string(action.addresses.size()); }
  std::string told(dns_action::report action) { return "report " + std::string(action.why); }

  dns_params params;
  rng random{1};
  dns_machine machine;
  time_point now = start;
};

// brings a fresh machine there, at 100 ms after the last answer
story in(dns_state wanted) {
  story told;
  auto const go = [&](std::initializer_list<input> path) {
    for (input const one : path) told.feed(one);
    told.now += 100ms;
  };
  switch (wanted) {
    case dns_state::idle: break;
    case dns_state::looking: go({input::started}); break;
    case dns_state::settled: go({input::started, input::changed}); break;
    case dns_state::hinted: go({input::started, input::changed, input::hinted}); break;
    case dns_state::failing: go({input::started, input::failed}); break;
  }
  return told;
}

struct row {
  dns_state from;
  input what;
  dns_state to;
  char const* does;
};

// every other cell does nothing and stays
constexpr row rules[]{
    {dns_state::idle, input::started, dns_state::looking, "look_up"},
    {dns_state::looking, input::same, dns_state::settled, "arm +30000ms"},
    {dns_state::looking, input::changed, dns_state::settled, "publish 2, arm +30000ms"},
    {dns_state::looking, input::none, dns_state::failing, "report the name has no addresses, arm +500ms"},
    {dns_state::looking, input::failed, dns_state::failing, "report no such name, arm +500ms"},
    {dns_state::settled, input::hinted, dns_state::hinted, "arm +900ms"},
    {dns_state::settled, input::elapsed, dns_state::looking, "look_up"},
    {dns_state::hinted, input::elapsed, dns_state::looking, "look_up"},
    {dns_state::failing, input::elapsed, dns_state::looking, "look_up"},
};

row rule_of(dns_state from, input what) {
  for (row const& one : rules) {
    if (one.from == from && one.what == what) return one;
  }
  return {from, what, from, ""};
}

}  // namespace

TEST_CASE("dns machine: each input in each state", "[resolve]") {
  for (dns_state const from :
       {dns_state::idle, dns_state::looking, dns_state::settled, dns_state::hinted, dns_state::failing}) {
    for (input const what : inputs) {
      story told = in(from);
      REQUIRE(told.machine.state() == from);
      row const rule = rule_of(from, what);
      INFO("in " << to_string(from) << ", input " << static_cast<int>(what));
      CHECK(told.feed(what) == rule.does);
      CHECK(to_string(told.machine.state()) == to_string(rule.to));
    }
  }
}

TEST_CASE("dns machine: evidence long after the answer asks at once", "[resolve]") {
  story told = in(dns_state::settled);
  CHECK(told.feed(input::hinted, 5s) == "look_up");
}

TEST_CASE("dns machine: evidence that brings nothing new is followed less and less often, up to a limit", "[resolve]") {
  story told = in(dns_state::looking);
  told.feed(input::changed);
  for (char const* const wait : {"arm +1000ms", "arm +2000ms", "arm +4000ms", "arm +8000ms", "arm +8000ms"}) {
    CHECK(told.feed(input::hinted) == wait);
    CHECK(told.feed(input::hinted) == "");
    CHECK(told.feed(input::elapsed) == "look_up");
    CHECK(told.feed(input::same) == "arm +30000ms");
  }
  SECTION("evidence that was right is followed promptly again") {
    told.feed(input::hinted);
    told.feed(input::elapsed);
    CHECK(told.feed(input::changed) == "publish 2, arm +30000ms");
    CHECK(told.feed(input::hinted) == "arm +1000ms");
  }
  SECTION("and so is evidence after a time without") {
    CHECK(told.feed(input::elapsed, 30s) == "look_up");
    told.feed(input::same);
    CHECK(told.feed(input::hinted) == "arm +1000ms");
  }
}

TEST_CASE("dns machine: evidence never puts off a lookup that is due", "[resolve]") {
  dns_params slow = plain;
  slow.evidence = {.initial = 60s, .multiplier = 2, .max = 60s, .jitter = 0};
  story told(slow);
  told.feed(input::started);
  told.feed(input::changed);
  CHECK(told.feed(input::hinted, 10s) == "arm +20000ms");
}

TEST_CASE("dns machine: failures in a row are spaced out, and an answer starts over", "[resolve]") {
  story told = in(dns_state::looking);
  for (char const* const wait : {"500", "1000", "2000", "4000", "4000"}) {
    CHECK(told.feed(input::failed) == "report no such name, arm +" + std::string(wait) + "ms");
    CHECK(told.feed(input::elapsed) == "look_up");
  }
  told.feed(input::changed);
  told.feed(input::elapsed);
  CHECK(told.feed(input::failed) == "report no such name, arm +500ms");
}

TEST_CASE("dns machine: the old answer after a failure is news, once", "[resolve]") {
  story told = in(dns_state::settled);
  told.feed(input::elapsed);
  told.feed(input::failed);
  told.feed(input::elapsed);
  CHECK(told.feed(input::same) == "publish 2, arm +30000ms");
  told.feed(input::elapsed);
  CHECK(told.feed(input::same) == "arm +30000ms");
}

TEST_CASE("dns machine: the period is spread by the jitter, and may be as long as there is time", "[resolve]") {
  rng random(7);
  dns_params params = plain;
  params.jitter = 0.5;
  duration least = 1h;
  duration most = 0s;
  auto const period = [&](dns_params const& with) {
    dns_machine machine(with, random);
    machine.step({start, dns_event::start{}});
    return std::get<dns_action::arm>(machine.step({start, dns_event::answered{two, false}})[0]).at;
  };
  for (int n = 0; n < 200; ++n) {
    duration const one = period(params) - start;
    least = std::min(least, one);
    most = std::max(most, one);
  }
  CHECK(least >= 15s);
  CHECK(least < 16s);
  CHECK(most > 44s);
  CHECK(most <= 45s);
  params.refresh_interval = duration::max();
  params.jitter = 0;
  CHECK(period(params) == never);
}
