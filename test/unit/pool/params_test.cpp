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

TEST_CASE("pool_params: what is 0 is filled in from the endpoints", "[pool]") {
  pool_params const one = validated({.target = "a:1"});
  CHECK(one.min_slots == 1);
  CHECK(one.max_slots == 4);
  pool_params const three = validated({.target = "a:1,b:2,c:3"});
  CHECK(three.min_slots == 3);
  CHECK(three.max_slots == 12);
  CHECK(validated({.target = "a:1", .min_slots = 9}).max_slots == 9);
}

TEST_CASE("pool_params: each bad field is named with its value and what is allowed", "[pool]") {
  refused({.target = "a:1", .min_slots = 4, .max_slots = 2}, "max_slots: 2", "at least min_slots = 4");
  refused({.target = "a:1,b:1,c:1", .max_slots = 2}, "max_slots: 2", "number of endpoints = 3");
  refused({.target = "a:1", .max_slots = 200'000}, "max_slots: 200000", "at most 100000");
  refused({.target = "a:1", .max_calls_per_slot = 0}, "max_calls_per_slot: 0", "1 or more");
  refused({.target = "a:1", .slot = {.dial_timeout = 0s}}, "slot.dial_timeout: 0 ns", "more than 0");
  refused({.target = "a:1", .slot = {.watch_slice = -1s}}, "slot.watch_slice", "more than 0");
  refused({.target = "a:1", .slot = {.backoff = {.multiplier = 0.5}}}, "slot.backoff.multiplier", "0.5");
  refused({.target = "a:1", .budget = {.ttl = 0s}}, "budget.ttl", "");
  refused({.target = "a:1", .cork_rule = {.flush_every = 0}}, "cork_rule.flush_every: 0", "1 or more");
  CHECK_THROWS_WITH(validated({.target = "a:1", .balance = "foo"}),
                    Catch::Contains("\"foo\"") && Catch::Contains("round_robin"));
}

TEST_CASE("pool_params: endpoints are host:port, [v6]:port, unix:path or gRPC targets", "[pool]") {
  CHECK(parse_target("a:1,[::1]:2,unix:/x,dns:///c:3") ==
        std::vector<std::string>{"a:1", "[::1]:2", "unix:/x", "dns:///c:3"});
  for (char const* const bad :
       {"", "a", "a:", "a:0", "a:65536", "a:x", ":1", "a:1,", "a:1,a:1", "::1:5", "a b:1", "unix:"}) {
    INFO(bad);
    CHECK_THROWS_WITH(parse_target(bad),
                      Catch::StartsWith("pool_params.target: endpoint \"") && Catch::Contains("allowed are host:port"));
  }
}

TEST_CASE("sizing: a slot is opened only when every ready one is full and no dial is on its way there",
          "[pool][sizing]") {
  slot_size const full{.endpoint = 0, .open = true, .dialing = false, .ready = true, .free = 0};
  slot_size const roomy{.endpoint = 0, .open = true, .dialing = false, .ready = true, .free = 1};
  slot_size const vacant{.endpoint = 0, .open = false, .dialing = false, .ready = false, .free = 1};
  slot_size const dialing{.endpoint = 0, .open = true, .dialing = true, .ready = false, .free = 1};
  CHECK(slot_to_grow(std::vector{full, vacant}) == 1u);
  CHECK_FALSE(slot_to_grow(std::vector{roomy, vacant}));
  CHECK_FALSE(slot_to_grow(std::vector{full, dialing, vacant}));
  CHECK_FALSE(slot_to_grow(std::vector{full, full}));
  CHECK_FALSE(slot_to_grow({}));
}

TEST_CASE("sizing: the endpoint with the fewest open slots grows first", "[pool][sizing]") {
  auto const slot = [](std::uint32_t endpoint, bool open) {
    return slot_size{.endpoint = endpoint, .open = open, .dialing = false, .ready = open, .free = 0};
  };
  CHECK(slot_to_grow(std::vector{slot(0, true), slot(1, true), slot(0, true), slot(0, false), slot(1, false)}) == 4u);
}
