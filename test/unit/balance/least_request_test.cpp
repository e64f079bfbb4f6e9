// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/least_request.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

using namespace millrace;
using balance::field;
using balance::least_request;

namespace {

std::vector<int> histogram_of(least_request& policy, std::size_t candidates, int picks) {
  std::vector<int> count(candidates);
  for (int i = 0; i < picks; ++i) ++count[policy.pick({}).value()];
  return count;
}

// calls that never end: the fullest slot after `calls` of them on `slots`
std::uint32_t fullest(unsigned choice_count, std::uint32_t slots, int calls, std::uint64_t seed) {
  auto some = field::apart(slots);
  least_request policy{seed, choice_count};
  policy.rebuild(some.all);
  for (int i = 0; i < calls; ++i) ++some.load[policy.pick({}).value()];
  return *std::max_element(some.load.begin(), some.load.end());
}

}  // namespace

TEST_CASE("least_request: without candidates there is no pick", "[balance][least_request]") {
  least_request policy{1};
  CHECK_FALSE(policy.pick({}));
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
}

TEST_CASE("least_request: a single candidate is always picked", "[balance][least_request]") {
  auto one = field::apart(1);
  one.load[0] = 1000;
  least_request policy{1};
  policy.rebuild(one.all);
  for (int i = 0; i < 10; ++i) CHECK(policy.pick({}) == 0);
}

TEST_CASE("least_request: equally loaded candidates share the calls evenly", "[balance][least_request]") {
  for (unsigned choice_count : {2u, 3u, 10u}) {
    for (std::uint32_t size : {2u, 3u, 5u, 12u}) {
      auto some = field::apart(size);
      least_request policy{1234, choice_count};
      policy.rebuild(some.all);
      int const picks = 20000;
      double const share = 1.0 / size;
      // five standard errors of a binomial share
      double const bound = 5 * std::sqrt(picks * share * (1 - share));
      for (int count : histogram_of(policy, size, picks)) CHECK(std::abs(count - picks * share) < bound);
    }
  }
}

TEST_CASE("least_request: with no more candidates than choices the least loaded is always picked",
          "[balance][least_request]") {
  for (unsigned choice_count = 2; choice_count <= 10; ++choice_count) {
    auto some = field::apart(choice_count);
    for (auto& load : some.load) load = 5;
    some.load[choice_count / 2] = 4;
    least_request policy{choice_count, choice_count};
    policy.rebuild(some.all);
    for (int i = 0; i < 200; ++i) CHECK(policy.pick({}) == choice_count / 2);
  }
}

TEST_CASE("least_request: two choices never take the most loaded and give each rank its share",
          "[balance][least_request]") {
  // of n distinct loads the r-th lightest (from 0) wins 2(n-1-r) of the n(n-1) pairs
  auto some = field::apart(5);
  for (std::uint32_t slot = 0; slot < 5; ++slot) some.load[slot] = 10 * slot;
  least_request policy{77};
  policy.rebuild(some.all);
  int const picks = 20000;
  auto const count = histogram_of(policy, 5, picks);
  CHECK(count[4] == 0);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    double const share = 2.0 * static_cast<double>(4 - rank) / 20;
    CHECK(std::abs(count[rank] - picks * share) < 5 * std::sqrt(picks * share * (1 - share)));
  }
}

TEST_CASE("least_request: the load is read at the pick, not at the rebuild", "[balance][least_request]") {
  auto some = field::apart(2);
  least_request policy{3};
  policy.rebuild(some.all);
  some.load[0] = 1;
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 1);
  some.load[1] = 2;
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 0);
}

TEST_CASE("least_request: two choices keep the fullest slot near the mean", "[balance][least_request]") {
  // 100 slots, 10000 calls, mean 100: two choices stay within a few of it (ln ln n / ln 2), one choice goes 30 above
  for (std::uint64_t seed = 1; seed <= 20; ++seed) CHECK(fullest(2, 100, 10000, seed) <= 106);
  CHECK(fullest(10, 100, 10000, 1) <= 103);
}

TEST_CASE("least_request: a heavier weight takes its multiple of the calls", "[balance][least_request]") {
  field some;
  some.add(0, 1);
  some.add(1, 3);
  least_request policy{5};
  policy.rebuild(some.all);
  for (int i = 0; i < 4000; ++i) ++some.load[policy.pick({}).value()];
  CHECK(std::abs(static_cast<int>(some.load[1]) - 3000) <= 2);
}

TEST_CASE("least_request: a weight of 0 is picked only among its like", "[balance][least_request]") {
  field some;
  some.add(0, 0);
  some.add(1, 1);
  some.load[1] = 1000000;
  least_request policy{5};
  policy.rebuild(some.all);
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 1);
  policy.rebuild(std::span{some.all}.first(1));
  CHECK(policy.pick({}) == 0);
}

TEST_CASE("least_request: a weight of nearly everything is drawn nearly always, and its load is heeded",
          "[balance][least_request]") {
  auto some = field::weighted({1, 1, 1'000'000});
  least_request policy{5};
  policy.rebuild(some.all);
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 2);
  some.load[2] = 1;  // the others are idle
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) != 2);
}

TEST_CASE("least_request: one that is much heavier than many others takes its part of the calls",
          "[balance][least_request]") {
  // 20 of 119: of two choices that are drawn alike it would take 2 of 100 at most
  field some = field::weighted({20});
  for (std::uint32_t endpoint = 1; endpoint < 100; ++endpoint) some.add(endpoint);
  least_request policy{9};
  policy.rebuild(some.all);
  for (int i = 0; i < 11'900; ++i) ++some.load[policy.pick({}).value()];
  CHECK(std::abs(static_cast<int>(some.load[0]) - 2000) < 100);
}

TEST_CASE("least_request: calls that come one after another are shared by weight", "[balance][least_request]") {
  auto some = field::weighted({1, 3});
  least_request policy{5};
  policy.rebuild(some.all);
  auto const count = histogram_of(policy, 2, 20'000);
  CHECK(std::abs(count[0] - 5000) < 5 * std::sqrt(20'000 * 0.25 * 0.75));
}

TEST_CASE("least_request: the greatest loads and weights do not overflow", "[balance][least_request]") {
  std::uint32_t const most = ~std::uint32_t{0};
  auto some = field::weighted({1e290, 1e290, 1e289});
  some.load = {most, most - 1, most};
  least_request policy{5, 10};
  policy.rebuild(some.all);
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 1);
  policy.rebuild(std::span(some.all).first(2));
  for (int i = 0; i < 50; ++i) CHECK(policy.pick({}) == 1);
}

TEST_CASE("least_request: the same seed makes the same picks", "[balance][least_request]") {
  auto some = field::apart(50);
  least_request one{42}, same{42}, other{43};
  for (auto* policy : {&one, &same, &other}) policy->rebuild(some.all);
  int equal = 0;
  for (int i = 0; i < 200; ++i) {
    auto const pick = one.pick({});
    CHECK(same.pick({}) == pick);
    equal += other.pick({}) == pick ? 1 : 0;
  }
  CHECK(equal < 50);
}

TEST_CASE("least_request: a choice_count outside 2 to 10 is refused by name", "[balance][least_request]") {
  CHECK_NOTHROW(least_request(1, 2));
  CHECK_NOTHROW(least_request(1, 10));
  CHECK_THROWS_WITH(least_request(1, 1), "least_request.choice_count is 1; allowed: 2 to 10");
  CHECK_THROWS_WITH(least_request(1, 11), "least_request.choice_count is 11; allowed: 2 to 10");
}
