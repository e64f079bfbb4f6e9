// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/pool/slot_machine.hpp>

#include <support/catch.hpp>

#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

using input = decltype(slot_event_at::what);

constexpr time_point start = time_point{} + 1000s;

/// One letter an action, in order.
std::string letters(slot_actions const& actions) {
  struct {
    char operator()(slot_action::request_dial) { return 'R'; }
    char operator()(slot_action::release_dial) { return 'L'; }
    char operator()(slot_action::open_channel) { return 'O'; }
    char operator()(slot_action::connect) { return 'C'; }
    char operator()(slot_action::watch) { return 'W'; }
    char operator()(slot_action::arm) { return 'A'; }
    char operator()(slot_action::disarm) { return 'D'; }
    char operator()(slot_action::publish) { return 'P'; }
    char operator()(slot_action::close_channel) { return 'X'; }
  } letter;
  std::string text;
  for (auto const& one : actions) text += std::visit(letter, one);
  return text;
}

template <class Action>
Action const* find(slot_actions const& actions) {
  for (auto const& one : actions) {
    if (auto const* const found = std::get_if<Action>(&one)) return found;
  }
  return nullptr;
}

struct fixture {
  slot_params params{};
  rng random{1};
  slot_machine machine{params, random};
  time_point now = start;

  slot_actions step(input what) { return machine.step({now, what}); }

  void lead_to(slot_state state) {
    switch (state) {
      case slot_state::vacant: return;
      case slot_state::idle: step(slot_event::open{}); return;
      case slot_state::connecting:
        lead_to(slot_state::idle);
        step(slot_event::dial_granted{});
        return;
      case slot_state::ready:
        lead_to(slot_state::connecting);
        step(slot_event::observed{connectivity::ready});
        return;
      case slot_state::backing_off:
        lead_to(slot_state::connecting);
        step(slot_event::observed{connectivity::transient_failure});
        return;
      case slot_state::draining:
        lead_to(slot_state::ready);
        step(slot_event::drain{.in_use = true});
        return;
      case slot_state::closed:
        lead_to(slot_state::ready);
        step(slot_event::drain{.in_use = false});
        return;
    }
  }
};

constexpr slot_state states[] = {slot_state::vacant, slot_state::idle,        slot_state::connecting,
                                 slot_state::ready,  slot_state::backing_off, slot_state::draining,
                                 slot_state::closed};

struct column {
  std::string name;
  input what;
};

std::vector<column> const columns = {
    {"open", slot_event::open{}},
    {"granted", slot_event::dial_granted{}},
    {"idle", slot_event::observed{connectivity::idle}},
    {"connecting", slot_event::observed{connectivity::connecting}},
    {"ready", slot_event::observed{connectivity::ready}},
    {"failure", slot_event::observed{connectivity::transient_failure}},
    {"shutdown", slot_event::observed{connectivity::shutdown}},
    {"expired", slot_event::watch_expired{}},
    {"elapsed", slot_event::elapsed{}},
    {"proven", slot_event::proven{}},
    {"nudge", slot_event::nudge{}},
    {"drain", slot_event::drain{.in_use = false}},
    {"drain used", slot_event::drain{.in_use = true}},
    {"last done", slot_event::last_call_done{}},
    {"grace over", slot_event::drain_elapsed{}},
};

/// What a cell of the table says: the next state and the actions' letters. Empty: nothing happens.
struct cell {
  slot_state next;
  std::string actions;
};

cell expected(slot_state from, std::string const& on) {
  using enum slot_state;
  cell const nothing{from, ""};
  switch (from) {
    case vacant:
      if (on == "open") return {idle, "PR"};
      if (on == "granted") return {from, "L"};
      if (on == "drain") return {closed, "DP"};
      if (on == "drain used") return {draining, "DP"};
      return nothing;
    case idle:
      if (on == "granted") return {connecting, "POCWA"};
      if (on == "drain") return {closed, "LDP"};
      if (on == "drain used") return {draining, "LDP"};
      return nothing;
    case connecting:
      if (on == "granted") return {from, "L"};
      if (on == "ready") return {ready, "PDLW"};
      if (on == "connecting" || on == "expired") return {from, "W"};
      if (on == "idle" || on == "failure" || on == "shutdown" || on == "elapsed") return {backing_off, "PXLA"};
      if (on == "drain") return {closed, "LDPX"};
      if (on == "drain used") return {draining, "DP"};
      return nothing;
    case ready:
      if (on == "granted") return {from, "L"};
      if (on == "ready" || on == "expired") return {from, "W"};
      // lost as soon as it was ready: nothing is proven yet
      if (on == "idle") return {backing_off, "PA"};
      if (on == "connecting" || on == "failure" || on == "shutdown") return {backing_off, "PAX"};
      if (on == "drain") return {closed, "DPX"};
      if (on == "drain used") return {draining, "DP"};
      return nothing;
    case backing_off:
      if (on == "granted") return {from, "L"};
      if (on == "elapsed") return {idle, "PR"};
      if (on == "nudge") return {idle, "DPR"};
      if (on == "drain") return {closed, "DP"};
      if (on == "drain used") return {draining, "DP"};
      return nothing;
    case draining:
      if (on == "granted") return {from, "L"};
      if (on == "last done" || on == "grace over") return {closed, "DPX"};
      return nothing;
    case closed:
      if (on == "granted") return {from, "L"};
      return nothing;
  }
  return nothing;
}

}  // namespace

TEST_CASE("slot: every state answers every input as the table says", "[pool][slot]") {
  for (slot_state const from : states) {
    for (column const& on : columns) {
      fixture one;
      one.lead_to(from);
      REQUIRE(one.machine.state() == from);
      auto const actions = one.step(on.what);
      cell const want = expected(from, on.name);
      INFO("state " << to_string(from) << ", input " << on.name);
      CHECK(to_string(one.machine.state()) == to_string(want.next));
      CHECK(letters(actions) == want.actions);
      auto const* const published = find<slot_action::publish>(actions);
      CHECK((published != nullptr) == (want.next != from));
      if (published != nullptr) {
        CHECK(published->from == from);
        CHECK(published->to == want.next);
        CHECK_FALSE(published->why.empty());
      }
    }
  }
}

TEST_CASE("slot: one that drains while it dials keeps its turn until the dial is over", "[pool][slot]") {
  auto const draining = [](fixture& one) {
    one.lead_to(slot_state::connecting);
    one.step(slot_event::observed{connectivity::connecting});
    one.step(slot_event::drain{.in_use = true});
  };
  for (connectivity const end : {connectivity::ready, connectivity::idle, connectivity::transient_failure}) {
    fixture one;
    draining(one);
    CHECK(letters(one.step(slot_event::watch_expired{})) == "W");
    CHECK(letters(one.step(slot_event::observed{connectivity::connecting})) == "W");
    CHECK(letters(one.step(slot_event::observed{end})) == "L");
    CHECK(letters(one.step(slot_event::observed{end})) == "");
    CHECK(letters(one.step(slot_event::last_call_done{})) == "DPX");
  }
  fixture one;
  draining(one);
  CHECK(letters(one.step(slot_event::last_call_done{})) == "LDPX");
}

TEST_CASE("slot: a proven connection that is lost is redialed at once on the same channel", "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::ready);
  one.step(slot_event::proven{});
  CHECK(letters(one.step(slot_event::observed{connectivity::idle})) == "PR");
  CHECK(one.machine.state() == slot_state::idle);
  CHECK(letters(one.step(slot_event::dial_granted{})) == "PCWA");
}

TEST_CASE("slot: a connection that lived long is as good as a proven one", "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::ready);
  one.now += one.params.proven_after;
  CHECK(letters(one.step(slot_event::observed{connectivity::idle})) == "PR");
}

TEST_CASE("slot: a lost connection in another state than IDLE gets a fresh channel", "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::ready);
  one.step(slot_event::proven{});
  CHECK(letters(one.step(slot_event::observed{connectivity::transient_failure})) == "PRX");
  CHECK(letters(one.step(slot_event::dial_granted{})) == "POCWA");
}

TEST_CASE("slot: dials back off by 1.6 with a jitter of 20 % up to the cap, and start over once proven",
          "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::connecting);
  double wait = 0.1;
  for (int failure = 0; failure < 20; ++failure) {
    auto const actions = one.step(slot_event::observed{connectivity::transient_failure});
    auto const* const armed = find<slot_action::arm>(actions);
    REQUIRE(armed != nullptr);
    double const seconds = std::chrono::duration<double>(armed->at - one.now).count();
    CHECK(seconds >= wait * 0.8);
    CHECK(seconds <= wait * 1.2);
    wait = std::min(wait * 1.6, 10.0);
    one.now = armed->at;
    one.step(slot_event::elapsed{});
    one.step(slot_event::dial_granted{});
  }
  one.step(slot_event::observed{connectivity::ready});
  one.step(slot_event::proven{});
  one.step(slot_event::observed{connectivity::idle});
  one.step(slot_event::dial_granted{});
  auto const actions = one.step(slot_event::observed{connectivity::transient_failure});
  auto const* const armed = find<slot_action::arm>(actions);
  REQUIRE(armed != nullptr);
  CHECK(armed->at - one.now <= 120ms);
}

TEST_CASE("slot: a dial is given its time-out, and a watch its slice with a jitter of 10 %", "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::idle);
  auto const dialing = one.step(slot_event::dial_granted{});
  CHECK(find<slot_action::arm>(dialing)->at == one.now + one.params.dial_timeout);
  CHECK(find<slot_action::watch>(dialing)->last == connectivity::idle);
  auto const slice = find<slot_action::watch>(dialing)->until - one.now;
  CHECK(slice >= one.params.watch_slice * 9 / 10);
  CHECK(slice <= one.params.watch_slice * 11 / 10);
  auto const connected = one.step(slot_event::observed{connectivity::ready});
  CHECK(find<slot_action::watch>(connected)->last == connectivity::ready);
  CHECK(find<slot_action::watch>(connected)->until - one.now >= one.params.ready_watch_slice * 9 / 10);
}

TEST_CASE("slot: one that takes another's place goes on where that left off", "[pool][slot]") {
  fixture before;
  before.lead_to(slot_state::connecting);
  CHECK_FALSE(before.machine.redial());
  time_point at;
  for (int failure = 0; failure < 5; ++failure) {
    auto const actions = before.step(slot_event::observed{connectivity::transient_failure});
    at = find<slot_action::arm>(actions)->at;
    REQUIRE(before.machine.redial());
    CHECK(before.machine.redial()->at == at);
    if (failure == 4) break;
    before.now = at;
    before.step(slot_event::elapsed{});
    before.step(slot_event::dial_granted{});
  }

  fixture early;
  early.now = at - 1ms;
  auto const waits = early.step(slot_event::open{before.machine.redial()});
  CHECK(letters(waits) == "PA");
  CHECK(find<slot_action::arm>(waits)->at == at);
  CHECK(early.machine.state() == slot_state::backing_off);
  early.now = at;
  CHECK(letters(early.step(slot_event::elapsed{})) == "PR");

  fixture late;
  late.now = at;
  CHECK(letters(late.step(slot_event::open{before.machine.redial()})) == "PR");
  late.step(slot_event::dial_granted{});
  auto const failed = late.step(slot_event::observed{connectivity::transient_failure});
  // 100 ms times 1.6 to the power of 5, less the jitter
  CHECK(find<slot_action::arm>(failed)->at - at > 800ms);
}

TEST_CASE("slot: a connection that is proven leaves nothing to wait out", "[pool][slot]") {
  fixture one;
  one.lead_to(slot_state::backing_off);
  one.step(slot_event::elapsed{});
  one.step(slot_event::dial_granted{});
  one.step(slot_event::observed{connectivity::ready});
  CHECK(one.machine.redial());
  one.step(slot_event::proven{});
  CHECK_FALSE(one.machine.redial());
  one.step(slot_event::observed{connectivity::idle});
  CHECK_FALSE(one.machine.redial());
}
