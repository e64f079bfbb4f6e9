// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/pick_first.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <span>

using namespace millrace;
using balance::field;
using balance::pick_first;

TEST_CASE("pick_first: without candidates there is no pick", "[balance][pick_first]") {
  pick_first policy;
  CHECK_FALSE(policy.pick({}));
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
}

TEST_CASE("pick_first: all calls go to the first endpoint, in the target's order", "[balance][pick_first]") {
  field some{2, 0, 1};
  pick_first policy;
  policy.rebuild(some.all);
  for (int i = 0; i < 10; ++i) CHECK(policy.pick({}) == 1);
}

TEST_CASE("pick_first: it stays with its endpoint when an earlier one comes, until its own is gone",
          "[balance][pick_first]") {
  auto some = field::apart(3);
  pick_first policy;
  auto const picked = [&](std::span<balance::candidate const> from) {
    policy.rebuild(from);
    return from[policy.pick({}).value()].endpoint;
  };
  CHECK(picked(some.all) == 0);
  CHECK(picked(some.without(0)) == 1);
  CHECK(picked(some.all) == 1);
  CHECK(picked(some.without(2)) == 1);
  CHECK(picked(some.without(1)) == 0);
  CHECK(picked(some.all) == 0);
}

TEST_CASE("pick_first: an endpoint that was ready first but had no call yet binds nobody", "[balance][pick_first]") {
  auto some = field::apart(3);
  pick_first policy;
  policy.rebuild(std::span(some.all).last(1));
  policy.rebuild(some.all);
  CHECK(policy.pick({}) == 0);
}

TEST_CASE("pick_first: after a time with no endpoint the order counts again", "[balance][pick_first]") {
  auto some = field::apart(2);
  pick_first policy;
  policy.rebuild(std::span(some.all).last(1));
  CHECK(policy.pick({}) == 0);
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
  policy.rebuild(some.all);
  CHECK(policy.pick({}) == 0);
}

TEST_CASE("pick_first: of the endpoint's slots the least loaded is taken", "[balance][pick_first]") {
  field some{0, 1, 0, 1, 0};
  some.load = {3, 0, 2, 0, 5};
  pick_first policy;
  policy.rebuild(some.all);
  CHECK(policy.pick({}) == 2);
  some.load[2] = 4;
  CHECK(policy.pick({}) == 0);
}

TEST_CASE("pick_first: a retry goes to the next endpoint, and does not take the others along",
          "[balance][pick_first]") {
  auto some = field::apart(3);
  pick_first policy;
  policy.rebuild(some.all);
  CHECK(policy.pick({.now = {}, .avoid_slot = 0, .avoid_endpoint = 0}) == 1);
  CHECK(policy.pick({}) == 0);
}
