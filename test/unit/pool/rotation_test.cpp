// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/pool/rotation.hpp>

#include <support/catch.hpp>

#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

using input = decltype(rotation_event_at::what);

constexpr time_point start = time_point{} + 1000s;

/// One letter an action, in order.
std::string letters(rotation_actions const& actions) {
  struct {
    char operator()(rotation_action::open_replacement) { return 'O'; }
    char operator()(rotation_action::drain) { return 'D'; }
    char operator()(rotation_action::give_up) { return 'G'; }
    char operator()(rotation_action::arm) { return 'A'; }
    char operator()(rotation_action::disarm) { return 'X'; }
  } letter;
  std::string text;
  for (auto const& one : actions) text += std::visit(letter, one);
  return text;
}

template <class Action>
Action const* find(rotation_actions const& actions) {
  for (auto const& one : actions) {
    if (auto const* const found = std::get_if<Action>(&one)) return found;
  }
  return nullptr;
}

// how the states are told apart in the table: what is known beside the state decides what a rest does
enum class situation { empty, nobody_due, due_later, due_now, replacing, replacing_last, backing_off };

constexpr situation situations[] = {situation::empty,      situation::nobody_due, situation::due_later,
                                    situation::due_now,    situation::replacing,  situation::replacing_last,
                                    situation::backing_off};

char const* name(situation what) {
  switch (what) {
    case situation::empty: return "empty";
    case situation::nobody_due: return "nobody due";
    case situation::due_later: return "due later";
    case situation::due_now: return "due now";
    case situation::replacing: return "replacing";
    case situation::replacing_last: return "replacing last";
    case situation::backing_off: return "backing off";
  }
  return "?";
}

/// Slots 1 and 2; 1 is what is or will be replaced, 3 the replacement.
struct fixture {
  rotation_params params{};
  rng random{1};
  rotation machine{params, random};
  time_point now = start;
  time_point armed = never;

  rotation_actions step(input what) {
    auto const actions = machine.step({now, what});
    if (auto const* const arm = find<rotation_action::arm>(actions)) armed = arm->at;
    if (find<rotation_action::disarm>(actions) != nullptr) armed = never;
    return actions;
  }

  rotation_actions elapse() {
    now = std::exchange(armed, never);
    return step(rotation_event::elapsed{});
  }

  void lead_to(situation what) {
    switch (what) {
      case situation::empty: return;
      case situation::nobody_due:
        step(rotation_event::ready{.slot = 1, .replace_at = never});
        step(rotation_event::ready{.slot = 2, .replace_at = never});
        return;
      case situation::due_later:
      case situation::due_now:
        step(rotation_event::ready{.slot = 1, .replace_at = start + 60s});
        step(rotation_event::ready{.slot = 2, .replace_at = start + 3600s});
        if (what == situation::due_now) now = start + 60s;
        return;
      case situation::replacing:
        lead_to(situation::due_later);
        elapse();
        return;
      case situation::replacing_last:
        step(rotation_event::ready{.slot = 1, .replace_at = start + 60s});
        elapse();
        return;
      case situation::backing_off:
        lead_to(situation::replacing);
        step(rotation_event::replacement_failed{});
        return;
    }
  }
};

struct column {
  std::string name;
  input what;
};

std::vector<column> const columns = {
    {"ready new", rotation_event::ready{.slot = 4, .replace_at = start + 2h}},
    {"ready soon", rotation_event::ready{.slot = 4, .replace_at = start + 30s}},
    {"ready again", rotation_event::ready{.slot = 1, .replace_at = start + 2h}},
    {"gone", rotation_event::gone{.slot = 1}},
    {"gone other", rotation_event::gone{.slot = 2}},
    {"gone unknown", rotation_event::gone{.slot = 9}},
    {"wanted", rotation_event::wanted{.slot = 1, .why = rotation_reason::unresponsive}},
    {"wanted other", rotation_event::wanted{.slot = 2, .why = rotation_reason::asked}},
    {"wanted unknown", rotation_event::wanted{.slot = 9, .why = rotation_reason::unresponsive}},
    {"connected", rotation_event::replacement_ready{.slot = 3, .replace_at = start + 2h}},
    {"failed", rotation_event::replacement_failed{}},
    {"elapsed", rotation_event::elapsed{}},
};

/// What a cell of the table says: the next state and the actions' letters.
struct cell {
  rotation_state next;
  std::string actions;
};

cell expected(situation from, std::string const& on) {
  using enum rotation_state;
  switch (from) {
    case situation::empty:
      // slots 1 and 2 are unknown here
      if (on == "ready new" || on == "ready soon" || on == "ready again") return {resting, "A"};
      return {resting, ""};
    case situation::nobody_due:
      if (on == "ready new" || on == "ready soon" || on == "ready again") return {resting, "A"};
      if (on == "wanted" || on == "wanted other") return {resting, "A"};
      return {resting, ""};
    case situation::due_later:
      // slot 1 is armed for: what comes later or from others changes nothing; at an early timer's call neither
      if (on == "ready soon" || on == "ready again" || on == "gone") return {resting, "A"};
      if (on == "wanted" || on == "wanted other") return {resting, "A"};
      return {resting, ""};
    case situation::due_now:
      if (on == "ready soon" || on == "ready again" || on == "gone") return {resting, "A"};
      if (on == "elapsed") return {replacing, "O"};
      return {resting, ""};
    case situation::replacing:
      // slot 2 is due in an hour
      if (on == "gone" || on == "connected") return {resting, "DA"};
      if (on == "failed") return {backing_off, "GA"};
      return {replacing, ""};
    case situation::replacing_last:
      if (on == "gone") return {resting, "D"};
      if (on == "connected") return {resting, "DA"};
      if (on == "failed") return {backing_off, "GA"};
      return {replacing, ""};
    case situation::backing_off:
      // its timer is the backoff's; at an early call nothing happens
      return {backing_off, ""};
  }
  return {resting, ""};
}

}  // namespace

TEST_CASE("rotation: every state answers every input as the table says", "[pool][rotation]") {
  for (situation const from : situations) {
    for (column const& on : columns) {
      fixture one;
      one.lead_to(from);
      auto const actions = one.step(on.what);
      cell const want = expected(from, on.name);
      INFO(name(from) << ", input " << on.name);
      CHECK(to_string(one.machine.state()) == to_string(want.next));
      CHECK(letters(actions) == want.actions);
      for (auto const& action : actions) {
        if (auto const* const drain = std::get_if<rotation_action::drain>(&action)) CHECK(drain->slot == 1);
        if (auto const* const open = std::get_if<rotation_action::open_replacement>(&action)) CHECK(open->slot == 1);
        if (auto const* const give_up = std::get_if<rotation_action::give_up>(&action)) CHECK(give_up->slot == 1);
      }
    }
  }
}

TEST_CASE("rotation: one slot after the other is replaced, each before its own time is up", "[pool][rotation]") {
  fixture one;
  one.step(rotation_event::ready{.slot = 1, .replace_at = start + 60s});
  one.step(rotation_event::ready{.slot = 2, .replace_at = start + 60s});
  CHECK(one.armed == start + 60s);
  CHECK(letters(one.elapse()) == "O");
  CHECK(one.now == start + 60s);
  one.now += 5ms;
  auto const first = one.step(rotation_event::replacement_ready{.slot = 3, .replace_at = start + 120s});
  REQUIRE(letters(first) == "DA");
  CHECK(find<rotation_action::drain>(first)->slot == 1);
  // the next one is overdue, and still not at once
  CHECK(one.armed > one.now);
  CHECK(one.armed <= one.now + one.params.spread);
  auto const second = one.elapse();
  REQUIRE(letters(second) == "O");
  CHECK(find<rotation_action::open_replacement>(second)->slot == 2);
  CHECK(find<rotation_action::open_replacement>(second)->why == rotation_reason::age);
  CHECK(letters(one.step(rotation_event::replacement_ready{.slot = 4, .replace_at = never})) == "DA");
  CHECK(one.armed == start + 120s);
}

TEST_CASE("rotation: who does not respond goes first, then who was asked for, then the oldest", "[pool][rotation]") {
  fixture one;
  for (std::uint32_t slot = 1; slot <= 4; ++slot) {
    one.step(rotation_event::ready{.slot = slot, .replace_at = start + 10s * (5 - slot)});
  }
  one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::asked});
  one.step(rotation_event::wanted{.slot = 2, .why = rotation_reason::unresponsive});
  one.now = start + 60s;
  one.armed = one.now;
  std::vector<std::uint32_t> order;
  for (std::uint32_t round = 0; round < 4; ++round) {
    auto const actions = one.elapse();
    auto const* const open = find<rotation_action::open_replacement>(actions);
    REQUIRE(open != nullptr);
    order.push_back(open->slot);
    one.step(rotation_event::replacement_ready{.slot = 10 + round, .replace_at = never});
  }
  CHECK(order == std::vector<std::uint32_t>{2, 1, 4, 3});
  CHECK(one.armed == never);
}

TEST_CASE("rotation: a replacement that does not connect is given up, and tried again later and later",
          "[pool][rotation]") {
  fixture one;
  one.lead_to(situation::replacing);
  double wait = 1;
  for (int failure = 0; failure < 15; ++failure) {
    auto const actions = one.step(rotation_event::replacement_failed{});
    REQUIRE(letters(actions) == "GA");
    CHECK(find<rotation_action::give_up>(actions)->slot == 1);
    double const seconds = std::chrono::duration<double>(one.armed - one.now).count();
    CHECK(seconds >= wait * 0.8);
    CHECK(seconds <= wait * 1.2);
    wait = std::min(wait * 1.6, 120.0);
    REQUIRE(letters(one.elapse()) == "O");
  }
  CHECK(letters(one.step(rotation_event::replacement_ready{.slot = 3, .replace_at = never})) == "DA");
  // the backoff starts over
  one.elapse();
  one.step(rotation_event::replacement_failed{});
  CHECK(one.armed - one.now <= 1200ms);
}

TEST_CASE("rotation: what was wanted is forgotten with the connection it was wanted for", "[pool][rotation]") {
  fixture one;
  one.lead_to(situation::nobody_due);
  one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::unresponsive});
  CHECK(one.armed != never);
  CHECK(letters(one.step(rotation_event::gone{.slot = 1})) == "X");
  CHECK(letters(one.step(rotation_event::ready{.slot = 1, .replace_at = never})).empty());
  one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::unresponsive});
  one.step(rotation_event::gone{.slot = 1});
  CHECK(one.armed == never);
  // while a replacement backs off, too
  fixture other;
  other.lead_to(situation::backing_off);
  other.step(rotation_event::gone{.slot = 1});
  CHECK(letters(other.elapse()) == "A");
  CHECK(other.machine.state() == rotation_state::resting);
  CHECK(other.armed == start + 3600s);
}

TEST_CASE("rotation: to want again does not hurry", "[pool][rotation]") {
  fixture one;
  one.lead_to(situation::nobody_due);
  one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::unresponsive});
  time_point const first = one.armed;
  for (int again = 0; again < 100; ++again) {
    CHECK(letters(one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::unresponsive})).empty());
    CHECK(letters(one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::asked})).empty());
  }
  CHECK(one.armed == first);
}

TEST_CASE("rotation: what is asked for at once is spread out", "[pool][rotation]") {
  std::set<duration> waits;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    fixture one;
    one.random = rng{seed};
    one.lead_to(situation::nobody_due);
    one.step(rotation_event::wanted{.slot = 1, .why = rotation_reason::asked});
    waits.insert(one.armed - one.now);
  }
  CHECK(waits.size() > 40);
  CHECK(*waits.begin() < 200ms);
  CHECK(*waits.rbegin() > 800ms);
  CHECK(*waits.rbegin() <= 1s);
}

TEST_CASE("rotation: at most one replacement at a time, none without its drain or its end, and nobody due is forgotten",
          "[pool][rotation]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    fixture one;
    one.random = rng{seed};
    rng script{seed * 7919};
    std::set<std::uint32_t> up;             // connected slots
    std::optional<std::uint32_t> replaced;  // what a replacement is under way for
    std::uint32_t next_slot = 0;
    auto const ready_at = [&] { return script.below(3) == 0 ? never : one.now + 1s * script.below(100); };
    auto const perform = [&](rotation_actions const& actions) {
      for (auto const& action : actions) {
        if (auto const* const open = std::get_if<rotation_action::open_replacement>(&action)) {
          REQUIRE_FALSE(replaced);
          REQUIRE(up.contains(open->slot));
          replaced = open->slot;
        } else if (auto const* const drain = std::get_if<rotation_action::drain>(&action)) {
          REQUIRE(replaced == drain->slot);
          up.erase(drain->slot);
          replaced.reset();
        } else if (auto const* const give_up = std::get_if<rotation_action::give_up>(&action)) {
          REQUIRE(replaced == give_up->slot);
          replaced.reset();
        } else if (auto const* const arm = std::get_if<rotation_action::arm>(&action)) {
          REQUIRE(arm->at >= one.now);
        }
      }
    };
    auto const any = [&] { return *std::next(up.begin(), script.below(static_cast<std::uint32_t>(up.size()))); };
    for (int move = 0; move < 300; ++move) {
      one.now = std::min(one.now + 100ms * script.below(100), one.armed);
      if (one.now == one.armed) {
        perform(one.elapse());
      } else if (up.size() < 2 || script.below(10) == 0) {
        up.insert(next_slot);
        perform(one.step(rotation_event::ready{.slot = next_slot++, .replace_at = ready_at()}));
      } else if (script.below(8) == 0) {
        std::uint32_t const slot = any();
        up.erase(slot);
        perform(one.step(rotation_event::gone{.slot = slot}));
      } else if (replaced && script.below(2) == 0) {
        bool const works = script.below(3) > 0;
        if (works) up.insert(next_slot);
        perform(works ? one.step(rotation_event::replacement_ready{.slot = next_slot++, .replace_at = ready_at()})
                      : one.step(rotation_event::replacement_failed{}));
      } else {
        auto const why = static_cast<rotation_reason>(script.below(3));
        perform(one.step(rotation_event::wanted{.slot = any(), .why = why}));
      }
    }
    // all that are left are asked for, connecting works from now on: each gets its turn
    std::set<std::uint32_t> old = up;
    for (std::uint32_t const slot : old) perform(one.step(rotation_event::wanted{slot, rotation_reason::asked}));
    for (int turn = 0; turn < 400 && (replaced || one.armed != never); ++turn) {
      if (replaced) {
        old.erase(*replaced);
        up.insert(next_slot);
        perform(one.step(rotation_event::replacement_ready{.slot = next_slot++, .replace_at = never}));
      } else {
        perform(one.elapse());
      }
    }
    CHECK(old.empty());
    CHECK(one.armed == never);
  }
}

TEST_CASE("rotation_params: each bad field is named with its value and what is allowed", "[pool][rotation]") {
  CHECK_THROWS_WITH(validate(rotation_params{.spread = -1s}, "pool_params.rotation"),
                    "pool_params.rotation.spread is -1000ms; allowed: 0ms or more");
  CHECK_THROWS_WITH(validate(rotation_params{.backoff = {.multiplier = 0}}, "pool_params.rotation"),
                    Catch::StartsWith("pool_params.rotation.backoff.multiplier is 0"));
  CHECK_NOTHROW(validate(rotation_params{.spread = 0s}, "pool_params.rotation"));
}
