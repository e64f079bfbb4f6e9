// SPDX-License-Identifier: Apache-2.0
// Stories about pools that need one endpoint: which are dialed, when, and which is kept.
#include "support.hpp"

#include <millrace/base/errc.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::sim;

namespace {

class chosen_recorder final : public observer {
 public:
  std::vector<std::string> chosen;
  std::vector<bool> panics;
  std::vector<events::endpoints_changed> changes;
  std::size_t ejections = 0;

  using observer::on;
  void on(events::endpoint_chosen const& event) noexcept override { chosen.emplace_back(event.endpoint); }
  void on(events::panic_changed const& event) noexcept override { panics.push_back(event.panicking); }
  void on(events::endpoints_changed const& event) noexcept override { changes.push_back(event); }
  void on(events::health_changed const& event) noexcept override { ejections += event.to == "unhealthy" ? 1 : 0; }
};

/// A pool with pick_first and the servers of its target, `a:1,b:1,c:1` unless told otherwise.
class story {
 public:
  explicit story(pool_params pool = {})
      : world{{.pool = with(std::move(pool)), .client = {.retry = {.max_attempts = 1}}}} {
    world.add(seen);
  }

  server& operator[](char const* name) { return world.net()[name]; }

  std::string chosen() {
    auto const all = world.pool().snapshot().chosen;
    return all.empty() ? "" : all.front();
  }

  /// Where a call goes that is made now; its failure if it fails.
  std::string next_goes_to(call_options options = {}) {
    auto& call = world.call("hello", std::move(options));
    world.run_calls();
    return call.ok() ? call.info.endpoint : call.text();
  }

  std::size_t dials(char const* name) { return world.net()[name].dialed_at().size(); }
  std::size_t dials() {
    std::size_t all = 0;
    for (server const* const one : world.net().servers()) all += one->dialed_at().size();
    return all;
  }
  /// Since the start; of the last dial.
  duration dialed(char const* name) { return world.net()[name].dialed_at().back() - begin; }

  chosen_recorder seen;
  sim::world world;
  time_point const begin = world.loop().now();

 private:
  static pool_params with(pool_params pool) {
    pool.balance = "pick_first";
    if (pool.target.empty()) pool.target = "a:1,b:1,c:1";
    return pool;
  }
};

endpoint_set set_of(std::vector<std::string> addresses) {
  endpoint_set made;
  for (std::string& one : addresses) made.push_back({.address = std::move(one)});
  return made;
}

answer failing() { return {.code = status_code::unavailable}; }

}  // namespace

TEST_CASE("pick_first: the first endpoint is up: nobody else is ever dialed", "[sim][pick_first]") {
  story on;
  on.world.pool().open();
  make_calls(on.world, 0s, 60s, 100ms);
  on.world.run_calls();
  CHECK(count_ok(on.world) == 600);
  CHECK(on.dials("a") == 1);
  CHECK(on.dials() == 1);
  CHECK(on.chosen() == "a:1");
  CHECK(on.seen.chosen == std::vector<std::string>{"a:1"});
  CHECK(on.world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("pick_first: the first refuses: the second is dialed at once, and the first no more", "[sim][pick_first]") {
  story on;
  on.world.net().add("a:1").down();
  CHECK(on.next_goes_to() == "b:1");
  CHECK(on.dialed("b:1") == 1ms);
  on.world.run_for(60s);
  CHECK(on.dials("a") == 1);
  CHECK(on.dials() == 2);
  CHECK(on.world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("pick_first: the first is silent: the second is dialed beside it after attempt_delay, and the first given up",
          "[sim][pick_first]") {
  duration const delay = GENERATE(250ms, 40ms);
  story on({.dial_order = {.attempt_delay = delay}});
  on.world.net().add("a:1").black_hole();
  auto& call = on.world.call();
  on.world.run_until(delay);
  CHECK(on.dials() == 1);
  on.world.run_calls();
  CHECK(call.info.endpoint == "b:1");
  CHECK(call.took() == delay + 1ms);
  CHECK(on.dialed("b") == delay);
  on.world.run_for(1ms);
  CHECK(on["a"].dials_in_flight() == 0);
  CHECK(on.world.pool().snapshot().slots.size() == 1);
  on.world.run_for(60s);
  CHECK(on.dials("a") == 1);
  CHECK(on.dials() == 2);
}

TEST_CASE("pick_first: the first answers late, but first", "[sim][pick_first]") {
  story on;
  on.world.net().add("a:1").dial_takes(300ms);
  on.world.net().add("b:1").dial_takes(300ms);
  CHECK(on.next_goes_to() == "a:1");
  on.world.run_for(10s);
  CHECK(on["b"].connections_made() == 0);
  CHECK(on.dials("b") == 1);
}

TEST_CASE("pick_first: the first answers late, but first, also when several connections to it are wanted",
          "[sim][pick_first]") {
  story on({.min_slots = 3, .max_slots = 3});
  on.world.net().add("a:1").dial_takes(300ms);
  on.world.net().add("b:1").dial_takes(300ms);
  auto& call = on.world.call();
  on.world.run_calls();
  CHECK(call.info.endpoint == "a:1");
  CHECK(call.took() == 300ms);
  on.world.run_for(10s);
  CHECK(on["b"].connections_made() == 0);
  CHECK(on.dials("b") == 1);
  CHECK(on.dials("a") == 3);
  CHECK(on["a"].connections() == 3);
}

TEST_CASE("pick_first: several connections are wanted although the chosen one is the only one that was dialed",
          "[sim][pick_first]") {
  story on({.min_slots = 3, .max_slots = 3});
  on.world.pool().open();
  on.world.run_for(100ms);
  CHECK(on["a"].connections() == 3);
  CHECK(on.dials() == 3);
}

TEST_CASE("pick_first: endpoints that accept and drop are dialed at the pace of their backoffs, chosen or not",
          "[sim][pick_first]") {
  story on;
  for (char const* const name : {"a:1", "b:1", "c:1"}) on.world.net().add(name).accept_then_drop(1ms);
  on.world.pool().open();
  on.world.run_for(60s);
  for (char const* const name : {"a", "b", "c"}) {
    CHECK(on.dials(name) > 3);
    CHECK(on.dials(name) < 30);
  }
}

TEST_CASE("pick_first: reset_backoff is also for an endpoint whose turn is over", "[sim][pick_first]") {
  story on({.target = "a:1,b:1", .slot = {.backoff = {.initial = 5s}}});
  on.world.net().add("a:1").down();
  on.world.pool().open();
  on.world.run_for(100ms);
  REQUIRE(on.chosen() == "b:1");
  on["a"].up();
  on.world.pool().reset_backoff();
  on["b"].kill();
  on.world.run_for(100ms);
  CHECK(on.chosen() == "a:1");
}

TEST_CASE("pick_first: endpoints that fail all calls are ejected for longer and longer, not dialed again and again",
          "[sim][pick_first]") {
  story on({.target = "a:1,b:1", .accrual = health::accrual_params{}});
  on.world.net().add("a:1").answer_with(failing());
  on.world.net().add("b:1").answer_with(failing());
  make_calls(on.world, 0s, 60s, 10ms);
  on.world.run_calls();
  CHECK(count_ok(on.world) == 0);
  CHECK(on.seen.ejections > 3);
  CHECK(on.seen.ejections < 30);
  CHECK(on.dials() < 30);
}

TEST_CASE("pick_first: what spoke against an endpoint goes when it leaves the set, though it is not its turn",
          "[sim][pick_first]") {
  story on({.target = "a:1,b:1", .accrual = health::accrual_params{.consecutive_failures = 1, .min_volume = 1}});
  on.world.net().add("a:1").answer_next(failing());
  on.world.call();
  on.world.run_calls();
  CHECK(on.next_goes_to() == "b:1");
  on.world.run_for(1ms);
  on.world.pool().update_endpoints(set_of({"b:1"}));
  on.world.run_for(1ms);
  on.world.pool().update_endpoints(set_of({"a:1", "b:1"}));
  on["b"].kill();
  CHECK(on.next_goes_to({.wait_for_ready = true}) == "a:1");
  CHECK(on.chosen() == "a:1");
  CHECK(on.seen.panics.empty());
}

TEST_CASE("pick_first: time that passes before the pool is used is nobody's delay", "[sim][pick_first]") {
  story on;
  on.world.run_for(10s);
  CHECK(on.next_goes_to() == "a:1");
  CHECK(on.dials() == 1);
}

TEST_CASE("pick_first: max_slots = 1 is for the connection that is kept, not for those that are tried",
          "[sim][pick_first]") {
  story on({.max_slots = 1, .accrual = health::accrual_params{.consecutive_failures = 1, .min_volume = 1}});
  on.world.net().add("a:1").black_hole();
  CHECK(on.next_goes_to() == "b:1");
  CHECK(on.dialed("b") == 250ms);
  CHECK(on.world.pool().snapshot().slots.size() == 1);
  on["b"].answer_with(failing());
  on.world.call();
  on.world.run_calls();
  CHECK(on.next_goes_to() == "c:1");
  on.world.run_for(1s);
  CHECK(on.world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("pick_first: all are down: calls fail once each was tried, and who is back first is kept",
          "[sim][pick_first]") {
  story on;
  for (char const* const name : {"a:1", "b:1", "c:1"}) on.world.net().add(name).down();
  auto& call = on.world.call();
  on.world.run_calls();
  CHECK_FALSE(call.ok());
  CHECK(call.took() == 3ms);
  CHECK(contains(on.world.pool().why_not_ready(), "a:1: Connection refused; b:1: Connection refused; c:1"));
  CHECK(on.chosen().empty());
  on.world.run_for(60s);
  // each at the pace of its own backoff
  for (char const* const name : {"a", "b", "c"}) {
    CHECK(on.dials(name) > 3);
    CHECK(on.dials(name) < 20);
  }
  on["b"].up();
  CHECK(on.next_goes_to({.timeout = 200s, .wait_for_ready = true}) == "b:1");
  on["a"].up();
  on.world.run_for(300s);
  CHECK(on["a"].connections_made() == 0);
  CHECK(on.chosen() == "b:1");
  CHECK(on.world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("pick_first: the chosen one dies: all over again from the first, which was back", "[sim][pick_first]") {
  story on;
  on.world.net().add("a:1").down();
  CHECK(on.next_goes_to() == "b:1");
  on["a"].up();
  CHECK(on.next_goes_to() == "b:1");
  on["b"].kill();
  CHECK(on.next_goes_to({.wait_for_ready = true}) == "a:1");
  CHECK(on.dials("b") == 1);
  CHECK(on.dials("c") == 0);
  CHECK(on.seen.chosen == std::vector<std::string>{"b:1", "a:1"});
}

TEST_CASE("pick_first: calls that a GOAWAY lets finish do so while the next one is dialed", "[sim][pick_first]") {
  story on;
  on.world.net().add("a:1").down();
  on.world.net().add("b:1").call_takes(2s);
  auto& call = on.world.call("slow", {.timeout = 10s});
  on.world.run_until(1s);
  on["a"].up();
  on["b"].go_away();
  on.world.run_for(100us);  // the pool hears of it
  CHECK(on.next_goes_to() == "a:1");
  on.world.run_calls();
  CHECK(call.ok());
  CHECK(call.info.endpoint == "b:1");
}

TEST_CASE("pick_first: an ejected endpoint is left for the next one, and keeps the calls it has", "[sim][pick_first]") {
  story on({.accrual = health::accrual_params{.consecutive_failures = 3}});
  on.world.net().add("b:1").dial_takes(20ms);
  CHECK(on.next_goes_to() == "a:1");
  on["a"].answer_next({.after = 5s});
  auto& slow = on.world.call("slow", {.timeout = 20s});
  on.world.run_for(1ms);
  on["a"].answer_with(failing());
  for (int n = 0; n < 3; ++n) on.world.call();
  on.world.run_for(1ms);
  CHECK(on.world.net()["b"].dialed_at().size() == 1);
  CHECK(on.chosen().empty());
  auto& waits = on.world.call();
  // until there is a better one
  on.world.run_for(10ms);
  CHECK(on["a"].connections() == 1);
  CHECK_FALSE(waits.done());
  on.world.run_calls();
  CHECK(waits.info.endpoint == "b:1");
  CHECK(waits.ok());
  CHECK(slow.ok());
  CHECK(slow.info.endpoint == "a:1");
  CHECK(on.seen.panics.empty());
  on.world.run_for(1s);
  CHECK(on["a"].connections() == 0);
  CHECK(on.world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("pick_first: who says that it does not serve is passed over; when nobody does, it is a panic until one does",
          "[sim][pick_first]") {
  story on({.health_check = health::watch_params{}});
  for (char const* const name : {"a:1", "b:1", "c:1"}) on.world.net().add(name).health(health_answer::serving);
  on["a"].health(health_answer::not_serving);
  CHECK(on.next_goes_to() == "b:1");
  CHECK(on["a"].health_watches() == 0);
  CHECK(on.dials("c") == 0);
  on["b"].health(health_answer::not_serving);
  on.world.run_for(100us);            // the pool hears of it
  CHECK(on.next_goes_to() == "c:1");  // it is a's turn first, which still says the same
  CHECK(on.dials("a") == 2);
  CHECK(on.seen.panics.empty());
  on["c"].health(health_answer::not_serving);
  on.world.run_for(1s);
  CHECK(on.seen.panics == std::vector<bool>{true});
  CHECK(on.world.pool().ready() == 3);
  std::string const in_panic = on.next_goes_to();
  CHECK((in_panic == "a:1" || in_panic == "b:1" || in_panic == "c:1"));
  on["b"].health(health_answer::serving);
  on.world.run_for(1s);
  CHECK(on.seen.panics == std::vector<bool>{true, false});
  CHECK(on.next_goes_to() == "b:1");
  CHECK(on.world.pool().ready() == 1);
  CHECK(on["a"].health_watches() + on["c"].health_watches() == 0);
}

TEST_CASE("pick_first: an update that removes the chosen one moves on; one that only reorders changes nothing",
          "[sim][pick_first]") {
  story on;
  for (char const* const name : {"a:1", "b:1", "c:1"}) on.world.net().add(name).call_takes(1s);
  on.world.pool().open();
  auto& call = on.world.call("slow", {.timeout = 10s});
  on.world.run_for(100ms);
  on.world.pool().update_endpoints(set_of({"c:1", "b:1", "a:1"}));
  on.world.run_for(100ms);
  CHECK(on.chosen() == "a:1");
  CHECK(on.dials("b") + on.dials("c") == 0);
  CHECK(on.seen.changes.empty());
  on.world.pool().update_endpoints(set_of({"c:1", "b:1"}));
  std::optional<error_code> ready;
  on.world.pool().async_ready({}, [&](error_code how) { ready = how; });
  auto& next = on.world.call();
  on.world.run_calls();
  CHECK(call.ok());
  CHECK(call.info.endpoint == "a:1");
  CHECK(next.ok());
  CHECK(next.info.endpoint == "c:1");
  CHECK(on.dials("b") == 0);
  REQUIRE(on.seen.changes.size() == 1);
  CHECK(on.seen.changes[0].endpoints == 2);
  CHECK(on.seen.changes[0].removed == 1);
  CHECK(ready == error_code());
  on.world.run_for(100ms);
  CHECK(on["a"].connections() == 0);
  // one that was never dialed is in the set all the same
  on.world.pool().update_endpoints(set_of({"c:1", "d:1", "e:1"}));
  REQUIRE(on.seen.changes.size() == 2);
  CHECK(on.seen.changes[1].endpoints == 3);
  CHECK(on.seen.changes[1].added == 2);
  CHECK(on.seen.changes[1].removed == 1);
}

TEST_CASE("pick_first: an update in the middle of the search takes the new order, and hurries nobody",
          "[sim][pick_first]") {
  story on({.target = "a:1"});
  on.world.net().add("a:1").black_hole();
  on.world.net().add("d:1");
  on.world.pool().open();
  on.world.at(100ms, [&] { on.world.pool().update_endpoints(set_of({"d:1", "a:1"})); });
  on.world.run_until(1s);
  CHECK(on.dialed("d") == 250ms);
  CHECK(on.chosen() == "d:1");
}

TEST_CASE("pick_first: a drain of the chosen endpoint moves on, and when it is back it is one like the others",
          "[sim][pick_first]") {
  recorder slots;
  story on;
  CHECK(on.next_goes_to() == "a:1");
  std::optional<error_code> drained;
  on.world.pool().async_drain_endpoint("a:1", 5s, [&](error_code how) { drained = how; });
  CHECK(on.next_goes_to() == "b:1");
  REQUIRE(drained);
  CHECK_FALSE(*drained);
  on.world.add(slots);
  CHECK_FALSE(on.world.pool().readmit_endpoint("a:1"));
  CHECK(on.next_goes_to() == "b:1");
  CHECK(slots.changes.empty());
  on["b"].kill();
  CHECK(on.next_goes_to({.wait_for_ready = true}) == "a:1");
}

TEST_CASE("pick_first: growth and min_slots are for the chosen one", "[sim][pick_first]") {
  story on({.min_slots = 2, .max_slots = 3, .max_calls_per_slot = 1});
  on.world.net().add("a:1").down();
  on.world.net().add("b:1").call_takes(1s);
  std::optional<error_code> ready;
  on.world.pool().async_ready({.min_ready = 2}, [&](error_code how) { ready = how; });
  on.world.run_for(100ms);
  REQUIRE(ready);
  CHECK_FALSE(*ready);
  CHECK(on["b"].connections() == 2);
  for (int n = 0; n < 3; ++n) on.world.call("slow", {.timeout = 10s});
  on.world.run_for(100ms);
  CHECK(on["b"].connections() == 3);
  CHECK(on.dials("c") == 0);
  on.world.run_calls();
  CHECK(count_ok(on.world) == 3);
}

TEST_CASE("pick_first: waiting for more ready slots than the endpoint may have is refused, not waited for",
          "[sim][pick_first]") {
  story on;
  std::optional<error_code> ready;
  on.world.pool().async_ready({.min_ready = 5}, [&](error_code how) { ready = how; });
  on.world.run_for(100ms);
  CHECK(ready == make_error_code(errc::out_of_range));
}

TEST_CASE("pick_first: each priority has one, so that a failover finds a connection", "[sim][pick_first]") {
  story on({.target = "x:1"});
  for (char const* const name : {"a:1", "b:1", "c:1", "d:1"}) on.world.net().add(name);
  on.world.pool().update_endpoints({{.address = "a:1", .priority = 0},
                                    {.address = "b:1", .priority = 0},
                                    {.address = "c:1", .priority = 1},
                                    {.address = "d:1", .priority = 1}});
  CHECK(on.next_goes_to() == "a:1");
  on.world.run_for(1s);
  CHECK(on.world.pool().snapshot().chosen == std::vector<std::string>{"a:1", "c:1"});
  CHECK(on.dials("b") + on.dials("d") == 0);
  on["b"].down();
  on["a"].kill();
  on.world.run_for(10ms);
  CHECK(on.next_goes_to() == "c:1");
  CHECK(on.dials("c") == 1);
  on["b"].up();
  on.world.run_for(60s);
  CHECK(on.next_goes_to() == "b:1");
}

TEST_CASE("pick_first: a picker of one's own may want one endpoint, too", "[sim][pick_first]") {
  struct mine {
    std::size_t count = 0;
    void rebuild(std::span<balance::candidate const> all) { count = all.size(); }
    std::optional<std::size_t> pick(balance::pick_info const&) noexcept {
      return count == 0 ? std::nullopt : std::optional<std::size_t>(0);
    }
    void on_done(balance::done_info const&) noexcept {}
    static balance::dialing dials() noexcept { return balance::dialing::first; }
  };
  // max_slots is for what is kept, as with pick_first
  world world{{.pool = {.target = "a:1,b:1", .max_slots = 1, .make_picker = [] {
                          return balance::any_picker("mine", mine{});
                        }}}};
  auto& call = world.call();
  world.run_calls();
  CHECK(call.ok());
  world.run_for(10s);
  CHECK(world.net()["b"].dialed_at().empty());
}

TEST_CASE("pick_first: a picker of one's own that wants all endpoints needs max_slots for them", "[sim][pick_first]") {
  auto const all = [] { return balance::make_picker("round_robin", 0); };
  CHECK_THROWS_WITH((world{{.pool = {.target = "a:1,b:1", .max_slots = 1, .make_picker = all}}}),
                    Catch::Contains("number of endpoints = 2"));
}
