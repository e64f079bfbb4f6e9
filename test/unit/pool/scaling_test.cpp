// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/pool/scaling.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point at(duration since_start) { return time_point{} + 1000s + since_start; }
constexpr std::uint32_t full = 100;  // calls a slot

using answer = std::optional<std::uint32_t>;

/// An endpoint whose slots are ready and full.
endpoint_load full_endpoint(std::uint32_t endpoint, std::uint32_t open, std::uint32_t max_slots = 4) {
  return {.endpoint = endpoint,
          .min_slots = 1,
          .max_slots = max_slots,
          .open = open,
          .dialing = 0,
          .ready = open,
          .draining = 0,
          .in_flight = open * full,
          .peak = open * full,
          .free = 0};
}

endpoint_load dialing(endpoint_load one) {
  ++one.open;
  ++one.dialing;
  return one;
}

endpoint_load backing_off(endpoint_load one) {
  ++one.open;
  return one;
}

endpoint_load draining(endpoint_load one, std::uint32_t count) {
  one.draining = count;
  return one;
}

endpoint_load with_load(endpoint_load one, std::uint32_t in_flight) {
  one.in_flight = one.peak = in_flight;
  one.free = one.ready * full - in_flight;
  return one;
}

endpoint_load untried(std::uint32_t endpoint) {
  endpoint_load one = full_endpoint(endpoint, 0);
  one.min_slots = 0;
  return one;
}

scaling_decision look(scaling& one, time_point now, std::vector<endpoint_load> const& endpoints,
                      std::uint32_t waiting = 0, std::uint32_t max_slots = 100) {
  return one.look(now, {.endpoints = endpoints, .max_slots = max_slots, .waiting = waiting});
}

answer grown(std::vector<endpoint_load> const& endpoints, std::uint32_t waiting, std::uint32_t max_slots = 100) {
  scaling one({}, full);
  auto const decision = look(one, at(0s), endpoints, waiting, max_slots);
  CHECK_FALSE(decision.drain_on);
  if (decision.open_on) CHECK(decision.again == at(0s));
  return decision.open_on;
}

void refused(scaling_params params, char const* text) {
  CHECK_THROWS_AS(validate(params, full, "pool_params.scaling"), std::invalid_argument);
  CHECK_THROWS_WITH(validate(params, full, "pool_params.scaling"), std::string("pool_params.scaling.") + text);
}

}  // namespace

// ---- growing

TEST_CASE("scaling: a pool grows when calls wait, all is full and no room is on its way", "[pool][scaling]") {
  endpoint_load const one = full_endpoint(0, 1);
  CHECK(grown({one}, 1) == 0u);
  CHECK(grown({one}, 0) == answer{});
  CHECK(grown({with_load(one, 99)}, 1) == answer{});
  CHECK(grown({full_endpoint(0, 4)}, 1) == answer{});
  CHECK(grown({}, 1) == answer{});
  // one connection has room: which endpoint it belongs to does not matter
  CHECK(grown({one, with_load(full_endpoint(1, 1), 99)}, 1) == answer{});
  // one dial at a time, and none past a slot that backs off
  CHECK(grown({dialing(one)}, 1000) == answer{});
  CHECK(grown({backing_off(one)}, 1000) == answer{});
  // a hundred can wait for the dial to an endpoint that is connected, more cannot
  CHECK(grown({dialing(one), full_endpoint(1, 3)}, 100) == answer{});
  CHECK(grown({dialing(one), full_endpoint(1, 3)}, 101) == 1u);
  // a dial to where no connection is promises nothing
  CHECK(grown({dialing(full_endpoint(0, 0)), full_endpoint(1, 3)}, 1) == 1u);
}

TEST_CASE("scaling: the endpoint with the fewest slots grows first", "[pool][scaling]") {
  CHECK(grown({full_endpoint(0, 2), full_endpoint(1, 1), full_endpoint(2, 3)}, 1) == 1u);
  CHECK(grown({full_endpoint(0, 2), backing_off(full_endpoint(1, 1)), full_endpoint(2, 3)}, 1) == 0u);
  CHECK(grown({full_endpoint(7, 2), untried(9)}, 1) == 9u);
}

TEST_CASE("scaling: in an outage only endpoints that were not tried are opened, one after the other",
          "[pool][scaling]") {
  endpoint_load const down = backing_off(full_endpoint(0, 0));
  CHECK(grown({down}, 5) == answer{});
  CHECK(grown({down, untried(1), untried(2)}, 5) == 1u);
  CHECK(grown({down, dialing(untried(1)), untried(2)}, 5) == answer{});
}

TEST_CASE("scaling: connections that drain count, over the endpoint and over the pool", "[pool][scaling]") {
  CHECK(grown({draining(full_endpoint(0, 3), 1)}, 1) == answer{});
  CHECK(grown({draining(full_endpoint(0, 2), 1)}, 1) == 0u);
  CHECK(grown({full_endpoint(0, 2), full_endpoint(1, 2)}, 1, 4) == answer{});
  CHECK(grown({full_endpoint(0, 2), draining(full_endpoint(1, 1), 1)}, 1, 4) == answer{});
  CHECK(grown({full_endpoint(0, 2), full_endpoint(1, 1)}, 1, 4) == 1u);
}

TEST_CASE("scaling: an endpoint below its minimum is opened, whatever the load and its state", "[pool][scaling]") {
  endpoint_load bare = full_endpoint(3, 0);
  CHECK(grown({bare}, 0) == 3u);
  bare.min_slots = 2;
  CHECK(grown({dialing(bare)}, 0) == 3u);
  CHECK(grown({dialing(bare)}, 0, 1) == answer{});
}

TEST_CASE("scaling: with grow_at the most crowded endpoint grows before its slots are full", "[pool][scaling]") {
  scaling one({.grow_at = 25}, full);
  CHECK_FALSE(one.crowded(25, 1));
  CHECK(one.crowded(26, 1));
  CHECK_FALSE(one.crowded(50, 2));
  auto const load = [](std::uint32_t endpoint, std::uint32_t open, std::uint32_t in_flight) {
    return with_load(full_endpoint(endpoint, open), in_flight);
  };
  CHECK_FALSE(look(one, at(0s), {load(0, 1, 25)}).open_on);
  CHECK(look(one, at(0s), {load(0, 1, 26)}).open_on == 0u);
  CHECK(look(one, at(0s), {load(0, 1, 26), load(1, 2, 70), load(2, 3, 75)}).open_on == 1u);
  CHECK(look(one, at(0s), {load(0, 1, 26), dialing(load(1, 2, 70))}).open_on == 0u);
  CHECK_FALSE(look(one, at(0s), {load(0, 4, 300)}).open_on);
  // and still for calls that wait
  CHECK(look(one, at(0s), {full_endpoint(0, 1)}, 1).open_on == 0u);
  CHECK_FALSE(scaling({}, full).crowded(1000, 1));
}

// ---- growing for latency

namespace {

/// One endpoint, whose calls take a millisecond while there is one.
struct slow_endpoint {
  scaling subject;
  std::uint32_t open = 1;
  time_point now = at(0s);

  explicit slow_endpoint(scaling_params params = {.grow_when_slower = 2}) : subject(params, full) {
    look(0);
    run(200, 1, 1ms);
  }

  // true when one of the calls asked for a look
  bool run(int calls, std::uint32_t in_flight, duration latency) {
    bool asked = false;
    for (int call = 0; call < calls; ++call) {
      asked = subject.on_done(now, 0, latency, in_flight, open) || asked;
    }
    return asked;
  }

  scaling_decision look(std::uint32_t in_flight) {
    auto const decision = ::look(subject, now, {with_load(full_endpoint(0, open, 10), in_flight)});
    if (decision.open_on) ++open;
    if (decision.drain_on) --open;
    return decision;
  }
};

}  // namespace

TEST_CASE("scaling: an endpoint grows when load makes its calls so much slower", "[pool][scaling]") {
  slow_endpoint one;
  CHECK_FALSE(one.run(100, 40, 1900us));
  CHECK_FALSE(one.look(40).open_on);
  CHECK(one.run(200, 40, 2500us));
  CHECK_FALSE(one.look(2).open_on);  // the load has gone meanwhile
  CHECK(one.look(40).open_on == 0u);
  // at most once in an interval
  CHECK_FALSE(one.run(200, 40, 2100us));
  CHECK_FALSE(one.look(40).open_on);
  one.now += 10s;
  CHECK(one.run(1, 40, 2100us));
  CHECK(one.look(40).open_on == 0u);
}

TEST_CASE("scaling: latency does not matter unless asked for", "[pool][scaling]") {
  slow_endpoint one{scaling_params{}};
  CHECK_FALSE(one.run(1000, 40, 50ms));
  CHECK_FALSE(one.look(40).open_on);
}

TEST_CASE("scaling: a slot that made calls faster is kept while the load is what it was", "[pool][scaling]") {
  slow_endpoint one;
  int opened = 0;
  int drained = 0;
  for (int second = 0; second < 3600; ++second, one.now += 1s) {
    // 60 calls are slow on one slot and fast on two
    one.run(50, 60, one.open == 1 ? 4ms : 1500us);
    auto const decision = one.look(60);
    opened += decision.open_on ? 1 : 0;
    drained += decision.drain_on ? 1 : 0;
  }
  CHECK(opened == 1);
  CHECK(drained == 0);
  // and no longer: an hour at a fifth of it
  for (int second = 0; second < 3600; ++second, one.now += 1s) one.look(12);
  CHECK(one.open == 1);
}

TEST_CASE("scaling: where connections do not make calls faster it tries less and less", "[pool][scaling]") {
  slow_endpoint one;
  std::vector<duration> opened;
  for (int second = 0; second < 4 * 3600; ++second, one.now += 1s) {
    one.run(50, 60, 4ms);
    if (one.look(60).open_on) opened.push_back(one.now - at(0s));
  }
  REQUIRE(opened.size() > 5);
  CHECK(opened.size() < 32);
  CHECK(opened[1] - opened[0] >= 30s);
  CHECK(opened[2] - opened[1] >= 50s);
  CHECK(opened.back() - opened[opened.size() - 2] >= 640s);
  CHECK(one.open <= 3);  // and closes what did not help
}

// ---- shrinking

namespace {

/// One endpoint, looked at whenever it asks to be.
struct shrinking {
  scaling subject;
  endpoint_load load = with_load(full_endpoint(0, 4), 0);
  time_point now = at(0s);

  explicit shrinking(scaling_params params = {}) : subject(params, full) {}

  scaling_decision look(std::uint32_t waiting = 0) {
    auto const decision = ::look(subject, now, {load}, waiting);
    if (decision.drain_on) --load.ready, --load.open;
    load.peak = load.in_flight;
    load.free = load.ready * full - load.in_flight;
    return decision;
  }

  // when each slot was drained
  std::vector<duration> run(duration length) {
    std::vector<duration> drained;
    time_point const end = now + length;
    while (true) {
      auto const decision = look();
      if (decision.drain_on) drained.push_back(now - at(0s));
      if (decision.again > end) break;
      now = decision.again;
    }
    now = end;
    return drained;
  }
};

}  // namespace

TEST_CASE("scaling: slots that are not needed for two minutes go, one each half a minute", "[pool][scaling]") {
  shrinking one;
  CHECK(one.run(1h) == std::vector<duration>{120s, 150s, 180s});
  CHECK(one.load.open == 1);
  // at its minimum a pool asks for nothing
  CHECK(one.look().again == never);
}

TEST_CASE("scaling: as many slots stay as the most calls at once need, with head-room", "[pool][scaling]") {
  struct row {
    std::uint32_t calls;
    std::uint32_t left;
  };
  for (row const& one :
       {row{0, 1}, row{80, 1}, row{81, 2}, row{160, 2}, row{161, 3}, row{240, 3}, row{241, 4}, row{400, 4}}) {
    shrinking subject;
    subject.load = with_load(subject.load, one.calls);
    subject.run(1h);
    INFO(one.calls << " calls");
    CHECK(subject.load.open == one.left);
  }
}

TEST_CASE("scaling: a peak between two looks counts", "[pool][scaling]") {
  shrinking one;
  for (int minute = 0; minute < 60; ++minute) {
    one.run(60s);
    one.load.peak = 241;  // and is over again
  }
  CHECK(one.load.open == 4);
  one.look();
  CHECK(one.run(10min).size() == 3);
}

TEST_CASE("scaling: nothing is drained while calls wait, nor for two minutes after", "[pool][scaling]") {
  shrinking one;
  for (int minute = 0; minute < 30; ++minute) {
    CHECK_FALSE(one.look(1).drain_on);
    one.now += 60s;
  }
  time_point const last = one.now;
  CHECK_FALSE(one.look(1).drain_on);
  auto const drained = one.run(10min);
  REQUIRE(drained.size() == 3);
  CHECK(drained[0] >= last + 120s - at(0s));
  CHECK(drained[0] <= last + 151s - at(0s));
}

TEST_CASE("scaling: each endpoint shrinks for itself", "[pool][scaling]") {
  scaling one({}, full);
  std::vector<endpoint_load> load{with_load(full_endpoint(0, 3), 0), with_load(full_endpoint(1, 3), 300),
                                  with_load(full_endpoint(2, 3), 0)};
  look(one, at(0s), load);
  time_point now = at(120s);
  std::vector<std::uint32_t> drained;
  while (now <= at(150s)) {
    auto const decision = look(one, now, load);
    if (decision.drain_on) {
      drained.push_back(*decision.drain_on);
      --load[*decision.drain_on].open;
      --load[*decision.drain_on].ready;
    }
    now = decision.again;
  }
  CHECK(drained == std::vector<std::uint32_t>{0, 2, 0, 2});
}

TEST_CASE("scaling: an endpoint whose share became less shrinks at once", "[pool][scaling]") {
  scaling one({}, full);
  CHECK(look(one, at(0s), {full_endpoint(0, 3, 2)}).drain_on == 0u);
  CHECK_FALSE(look(one, at(0s), {full_endpoint(0, 2, 2)}).drain_on);
}

TEST_CASE("scaling: a pool that never shrinks asks for no looks either", "[pool][scaling]") {
  shrinking one({.shrink_after = duration::max()});
  CHECK(one.look().again == never);
  one.now += 10h;
  CHECK_FALSE(one.look().drain_on);
}

TEST_CASE("scaling: an endpoint that is missing is forgotten", "[pool][scaling]") {
  shrinking one;
  one.run(119s);
  look(one.subject, one.now, {});
  auto const drained = one.run(10min);
  REQUIRE_FALSE(drained.empty());
  CHECK(drained[0] >= 119s + 120s);
}

// ---- under any load

namespace {

struct model_slot {
  enum class state { dialing, ready, backing_off, draining } is;
  time_point until;
};

struct model_endpoint {
  std::vector<model_slot> slots;
  bool up = true;
  time_point grown{};
  std::uint32_t peak = 0;
  std::uint32_t in_flight = 0;

  std::uint32_t count(model_slot::state what) const {
    return static_cast<std::uint32_t>(
        std::count_if(slots.begin(), slots.end(), [=](model_slot const& one) { return one.is == what; }));
  }
};

/// A pool whose calls are a number that goes up and down, and whose slots dial, fail and drain.
struct model {
  using state = model_slot::state;

  scaling_params params;
  scaling subject;
  rng random;
  std::vector<model_endpoint> endpoints;
  std::uint32_t max_slots;
  std::uint32_t max_each = 6;
  std::uint32_t demand = 0;
  std::uint32_t waiting = 0;
  time_point now = at(0s);

  model(scaling_params with, std::uint64_t seed)
      : params(with), subject(with, full), random(seed), endpoints(1 + random.below(4)) {
    max_slots = static_cast<std::uint32_t>(endpoints.size()) + random.below(16);
  }

  // slots change by themselves
  void turn() {
    for (model_endpoint& one : endpoints) {
      for (model_slot& slot : one.slots) {
        if (slot.until > now) continue;
        if (slot.is == state::dialing && !one.up) {
          slot = {state::backing_off, now + 1s * (1 + random.below(10))};
        } else if (slot.is == state::dialing) {
          slot = {state::ready, never};
        } else if (slot.is == state::backing_off) {
          // as the pool does when others were connected meanwhile
          slot = connections() < max_slots ? model_slot{state::dialing, now + 10ms} : model_slot{state::draining, now};
        }
      }
      std::erase_if(one.slots, [&](model_slot const& slot) { return slot.is == state::draining && slot.until <= now; });
    }
  }

  // calls go wherever there is room, evenly
  void spread() {
    std::uint32_t ready = 0;
    for (model_endpoint const& one : endpoints) ready += one.count(state::ready);
    std::uint32_t const carried = std::min(demand, ready * full);
    std::uint32_t left = carried;
    std::uint32_t slots_left = ready;
    for (model_endpoint& one : endpoints) {
      std::uint32_t const slots = one.count(state::ready);
      one.in_flight = slots == 0 ? 0 : left * slots / slots_left;
      left -= one.in_flight;
      slots_left -= slots;
      one.peak = std::max(one.peak, one.in_flight);
    }
    waiting = demand - carried;
  }

  std::vector<endpoint_load> loads() {
    std::vector<endpoint_load> all;
    for (std::uint32_t number = 0; number < endpoints.size(); ++number) {
      model_endpoint& one = endpoints[number];
      std::uint32_t const ready = one.count(state::ready);
      std::uint32_t const draining = one.count(state::draining);
      all.push_back({.endpoint = number,
                     .min_slots = 1,
                     .max_slots = max_each,
                     .open = static_cast<std::uint32_t>(one.slots.size()) - draining,
                     .dialing = one.count(state::dialing),
                     .ready = ready,
                     .draining = draining,
                     .in_flight = one.in_flight,
                     .peak = one.peak,
                     .free = ready * full - one.in_flight});
      one.peak = one.in_flight;
    }
    return all;
  }

  std::uint32_t connections() const {
    std::uint32_t count = 0;
    for (model_endpoint const& one : endpoints) {
      count += static_cast<std::uint32_t>(one.slots.size()) - one.count(state::backing_off);
    }
    return count;
  }

  void check_open(endpoint_load const& where, std::vector<endpoint_load> const& all) const {
    if (where.open < where.min_slots) return;
    REQUIRE(where.dialing == 0);
    REQUIRE(where.open == where.ready);
    std::uint32_t room = 0;
    for (endpoint_load const& one : all) room += one.free;
    bool const crowded = subject.crowded(where.in_flight, where.ready);
    REQUIRE((crowded || (waiting > 0 && room == 0)));
  }

  // until nothing is to do; gives the time of the next look
  time_point settle() {
    while (true) {
      spread();
      auto const all = loads();
      auto const decision = subject.look(now, {.endpoints = all, .max_slots = max_slots, .waiting = waiting});
      REQUIRE(decision.again >= now);
      if (decision.open_on) {
        model_endpoint& one = endpoints[*decision.open_on];
        check_open(all[*decision.open_on], all);
        one.slots.push_back({state::dialing, now + 1ms * (1 + random.below(200))});
        one.grown = now;
        REQUIRE(one.slots.size() <= max_each);
        REQUIRE(connections() <= max_slots);
      } else if (decision.drain_on) {
        model_endpoint& one = endpoints[*decision.drain_on];
        REQUIRE(waiting == 0);
        REQUIRE(all[*decision.drain_on].open > 1);
        REQUIRE(now - one.grown >= params.shrink_after);
        auto victim = std::find_if(one.slots.begin(), one.slots.end(), [](auto const& each) {
          return each.is == state::dialing || each.is == state::backing_off;
        });
        if (victim == one.slots.end()) {
          victim = std::find_if(one.slots.begin(), one.slots.end(),
                                [](auto const& each) { return each.is == state::ready; });
        }
        *victim = {state::draining, now + 1s * random.below(60)};
      } else {
        return decision.again;
      }
    }
  }

  time_point next_change() const {
    time_point next = never;
    for (model_endpoint const& one : endpoints) {
      for (model_slot const& slot : one.slots) next = std::min(next, slot.until);
    }
    return next;
  }

  void run_until(time_point end, auto&& stir) {
    while (now < end) {
      turn();
      time_point const again = settle();
      stir();
      now = std::min({again, next_change(), now + 50ms * (1 + random.below(400)), end});
    }
  }
};

}  // namespace

TEST_CASE("scaling: under any load no dial is made twice, no maximum passed, nothing shrunk that has just grown",
          "[pool][scaling]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    model one({.grow_at = seed % 2 == 0 ? 25u : 0u, .shrink_after = 1s * (seed % 5) * 40}, seed);
    one.run_until(at(1h), [&] {
      if (one.random.below(4) == 0) one.demand = one.random.below(3) == 0 ? 0 : one.random.below(1500);
      model_endpoint& any = one.endpoints[one.random.below(static_cast<std::uint32_t>(one.endpoints.size()))];
      if (one.random.below(50) == 0) any.up = !any.up;
    });
    // then nothing happens any more: the pool goes back to its minimum, and to sleep
    one.demand = 0;
    for (model_endpoint& each : one.endpoints) each.up = true;
    one.run_until(at(2h), [] {});
    for (model_endpoint const& each : one.endpoints) {
      CHECK(each.slots.size() == 1);
      CHECK(each.count(model_slot::state::ready) == 1);
    }
    CHECK(one.settle() == never);
  }
}

TEST_CASE("scaling: a load that stays what it is opens nothing and closes nothing after a while", "[pool][scaling]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    model one({.grow_at = seed % 2 == 0 ? 25u : 0u}, seed);
    one.demand = one.random.below(600);
    one.run_until(at(30min), [] {});
    std::uint32_t const slots = one.connections();
    one.run_until(at(3h), [&] { REQUIRE(one.connections() == slots); });
    // no more than the work needs, rounded up on each endpoint
    double const carries = (seed % 2 == 0 ? 25 : full) * 0.8;
    std::uint32_t needed = 0;
    for (model_endpoint const& each : one.endpoints) {
      needed += std::max(1u, static_cast<std::uint32_t>(each.in_flight / carries) + 1);
    }
    CHECK(slots <= needed);
  }
}

TEST_CASE("scaling_params: each bad field is named with its value and what is allowed", "[pool][scaling]") {
  refused({.grow_at = 101}, "grow_at is 101; allowed: 0 to max_calls_per_slot, 100");
  refused({.grow_when_slower = 1}, "grow_when_slower is 1; allowed: 0, or a finite number above 1");
  refused({.grow_interval = 0s}, "grow_interval is 0ms; allowed: more than 0ms");
  refused({.shrink_interval = -1s}, "shrink_interval is -1000ms; allowed: more than 0ms");
  refused({.shrink_after = -1s}, "shrink_after is -1000ms; allowed: 0ms or more");
  refused({.shrink_below = 0}, "shrink_below is 0; allowed: more than 0, up to 1");
  refused({.shrink_below = 1.5}, "shrink_below is 1.5; allowed: more than 0, up to 1");
  CHECK_NOTHROW(validate(scaling_params{.grow_at = 100, .grow_when_slower = 1.5, .shrink_below = 1}, full, "x"));
}
