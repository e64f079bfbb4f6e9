// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/params.hpp>
#include <millrace/pool/sizing.hpp>

#include <support/catch.hpp>

#include <stdexcept>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

void refused(pool_params params, char const* field, char const* allowed) {
  INFO(field);
  CHECK_THROWS_AS(validated(params), std::invalid_argument);
  CHECK_THROWS_WITH(validated(params),
                    Catch::StartsWith(std::string("pool_params.") + field) && Catch::Contains(allowed));
}

}  // namespace

TEST_CASE("pool_params: each bad field is named with its value and what is allowed", "[pool]") {
  refused({.target = "a:1", .min_slots = 4, .max_slots = 2}, "max_slots: 2", "at least min_slots = 4");
  refused({.target = "a:1,b:1,c:1", .max_slots = 2}, "max_slots: 2", "number of endpoints = 3");
  CHECK_NOTHROW(validated({.target = "a:1,b:1,c:1", .max_slots = 1, .balance = "pick_first"}));
  refused({.target = "a:1", .dial_order = {.attempt_delay = 1ms}}, "dial_order.attempt_delay is 1000000 ns", "10 ms");
  refused({.target = "a:1", .max_slots = 200'000}, "max_slots: 200000", "at most 100000");
  refused({.target = "a:1", .min_slots = 200'000}, "min_slots: 200000", "at most 100000");
  refused({.target = "a:1", .max_wait = -1s}, "max_wait: -1000000000 ns", "0 or more");
  refused({.target = "a:1", .make_resolver = [](loop&) { return nullptr; }}, "target: \"a:1\"", "must be empty");
  refused({.target = "a:1", .max_calls_per_slot = 0}, "max_calls_per_slot: 0", "1 or more");
  refused({.target = "a:1", .slot = {.dial_timeout = 0s}}, "slot.dial_timeout: 0 ns", "more than 0");
  refused({.target = "a:1", .slot = {.watch_slice = -1s}}, "slot.watch_slice", "more than 0");
  refused({.target = "a:1", .slot = {.backoff = {.multiplier = 0.5}}}, "slot.backoff.multiplier", "0.5");
  refused({.target = "a:1", .keepalive = {.time = -1s}}, "keepalive.time: -1000000000 ns", "0 or more");
  refused({.target = "a:1", .keepalive = {.timeout = 0s}}, "keepalive.timeout: 0 ns", "more than 0");
  refused({.target = "a:1", .panic_threshold = 1.5}, "panic_threshold: 1.5", "0 to 1");
  refused({.target = "a:1", .budget = {.ttl = 0s}}, "budget.ttl", "");
  refused({.target = "a:1", .cork_rule = {.flush_every = 0}}, "cork_rule.flush_every: 0", "1 or more");
  CHECK_THROWS_WITH(validated({.target = "a:1", .balance = "foo"}),
                    Catch::Contains("\"foo\"") && Catch::Contains("round_robin"));
}

TEST_CASE("pool_params: max_slots for each endpoint are for a picker that wants them all", "[pool]") {
  pool_params const own{
      .target = "a:1,b:1,c:1", .max_slots = 2, .make_picker = [] { return balance::make_picker("round_robin", 0); }};
  CHECK_NOTHROW(validated(own));
  CHECK_NOTHROW(check_max_slots(own, balance::dialing::first));
  CHECK_THROWS_WITH(check_max_slots(own, balance::dialing::all),
                    Catch::StartsWith("pool_params.max_slots: 2") && Catch::Contains("number of endpoints = 3"));
}

TEST_CASE("sizing: what is 0 follows the number of endpoints", "[pool][sizing]") {
  auto const is = [](slot_bounds const& one, std::uint32_t min, std::uint32_t max) {
    CHECK(one.min == min);
    CHECK(one.max == max);
  };
  is(slots_for(0, 0, 1), 1, 4);
  is(slots_for(0, 0, 3), 3, 12);
  is(slots_for(9, 0, 1), 9, 9);
  is(slots_for(2, 0, 3), 2, 12);
  is(slots_for(0, 2, 3), 2, 2);
  is(slots_for(0, 5, 3), 3, 5);
  is(slots_for(0, 0, 0), 0, 0);
}
