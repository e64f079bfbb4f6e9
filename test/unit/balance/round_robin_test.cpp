// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/round_robin.hpp>

#include "support.hpp"

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

using namespace millrace;
using balance::candidate;
using balance::field;
using balance::round_robin;

namespace {

std::vector<std::uint32_t> picks(round_robin& policy, std::vector<candidate> const& from, int count) {
  std::vector<std::uint32_t> slots;
  for (int i = 0; i < count; ++i) slots.push_back(from.at(policy.pick({}).value()).slot);
  return slots;
}

using slots = std::vector<std::uint32_t>;

// how far, in any stretch of the picks, a slot is from its part of them, as a multiple of what earliest deadline first allows: one
// turn, and its part of one turn of everybody's
double unfairness(std::vector<std::uint32_t> const& picked, std::vector<candidate> const& from) {
  double total = 0, worst = 0;
  for (candidate const& one : from) total += one.weight;
  for (candidate const& one : from) {
    double const part = one.weight / total;
    double ahead = 0, least = 0, most = 0;  // the worst stretch is between the extremes of what it is ahead
    for (std::uint32_t slot : picked) {
      ahead += (slot == one.slot ? 1 : 0) - part;
      least = std::min(least, ahead);
      most = std::max(most, ahead);
    }
    worst = std::max(worst, (most - least) / (1 + part * static_cast<double>(from.size())));
  }
  return worst;
}

}  // namespace

TEST_CASE("round_robin: without candidates there is no pick", "[balance][round_robin]") {
  round_robin policy{7};
  CHECK_FALSE(policy.pick({}));
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
}

TEST_CASE("round_robin: each candidate has its turn, from the offset on", "[balance][round_robin]") {
  auto some = field::apart(4);
  round_robin policy{6};
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 9) == slots{2, 3, 0, 1, 2, 3, 0, 1, 2});
}

TEST_CASE("round_robin: the greatest offset is as good as any", "[balance][round_robin]") {
  auto some = field::apart(3);
  round_robin policy{~std::uint32_t{0}};
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 4) == slots{0, 1, 2, 0});
}

TEST_CASE("round_robin: the offset waits for the first candidates", "[balance][round_robin]") {
  auto some = field::apart(4);
  round_robin policy{2};
  policy.rebuild({});
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 2) == slots{2, 3});
}

TEST_CASE("round_robin: a rebuild goes on with the slot whose turn it was", "[balance][round_robin]") {
  auto some = field::apart(5);
  round_robin policy;
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 2) == slots{0, 1});
  std::vector<candidate> const without_0{some.all.begin() + 1, some.all.end()};
  policy.rebuild(without_0);
  CHECK(picks(policy, without_0, 2) == slots{2, 3});
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 3) == slots{4, 0, 1});
}

TEST_CASE("round_robin: when the slot whose turn it was is gone the next one left is due", "[balance][round_robin]") {
  auto some = field::apart(6);
  round_robin policy;
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 2) == slots{0, 1});
  std::vector<candidate> const left{some.all[0], some.all[4], some.all[5]};
  policy.rebuild(left);
  CHECK(picks(policy, left, 3) == slots{4, 5, 0});
}

TEST_CASE("round_robin: with a rebuild before every pick the turns are still fair", "[balance][round_robin]") {
  auto some = field::apart(7);
  round_robin policy;
  std::vector<int> count(7);
  for (int i = 0; i < 700; ++i) {
    policy.rebuild(some.all);
    ++count[policy.pick({}).value()];
  }
  CHECK(count == std::vector<int>(7, 100));
}

TEST_CASE("round_robin: candidates that come and go all the time leave the steady ones their fair share",
          "[balance][round_robin]") {
  auto some = field::apart(8);
  round_robin policy;
  rng random{11};
  std::vector<int> count(8);
  for (int i = 0; i < 80000; ++i) {
    std::vector<candidate> present;
    for (auto const& one : some.all) {
      if (one.slot < 4 || random.below(2) == 0) present.push_back(one);
    }
    policy.rebuild(present);
    ++count[present.at(policy.pick({}).value()).slot];
  }
  // within a tenth of one another; a restart at every rebuild would give slot 0 everything
  auto const [least, most] = std::minmax_element(count.begin(), count.begin() + 4);
  CHECK(*least * 11 > *most * 10);
  CHECK(*std::min_element(count.begin() + 4, count.end()) > 0);
}

TEST_CASE("round_robin: when every slot is replaced it goes on", "[balance][round_robin]") {
  auto some = field::apart(6);
  round_robin policy;
  std::vector<candidate> const before{some.all.begin(), some.all.begin() + 3};
  std::vector<candidate> const after{some.all.begin() + 3, some.all.end()};
  policy.rebuild(before);
  CHECK(picks(policy, before, 4) == slots{0, 1, 2, 0});
  policy.rebuild(after);
  CHECK(picks(policy, after, 3) == slots{4, 5, 3});
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
}

TEST_CASE("round_robin: loads do not matter", "[balance][round_robin]") {
  auto some = field::apart(2);
  some.load[1] = 1000;
  round_robin policy;
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 4) == slots{0, 1, 0, 1});
}

TEST_CASE("round_robin: equal weights are plain turns, whatever they are", "[balance][round_robin]") {
  auto some = field::weighted({0.1, 0.1, 0.1});
  round_robin policy;
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 7) == slots{0, 1, 2, 0, 1, 2, 0});
}

TEST_CASE("round_robin: in any stretch of picks each slot has its weight's part of them", "[balance][round_robin]") {
  std::vector<double> const mixtures[] = {
      {5, 1, 1}, {0.1, 1}, {1, 2, 3, 10, 0.5}, {1, 1, 1, 1, 1, 1, 1, 0.99}, {1000, 1, 1, 1, 1, 1, 1, 1}};
  for (std::uint32_t offset = 0; offset < 20; ++offset) {
    for (std::vector<double> const& weights : mixtures) {
      auto some = field::weighted(weights);
      round_robin policy{offset};
      policy.rebuild(some.all);
      CAPTURE(offset, weights);
      CHECK(unfairness(picks(policy, some.all, 3000), some.all) <= 1);
    }
  }
}

TEST_CASE("round_robin: a thousand light slots do not come all at once", "[balance][round_robin]") {
  field some = field::weighted({1000});
  for (std::uint32_t endpoint = 1; endpoint <= 1000; ++endpoint) some.add(endpoint);
  round_robin policy;
  policy.rebuild(some.all);
  int between = 0, most_between = 0;
  for (std::uint32_t slot : picks(policy, some.all, 20'000)) {
    between = slot == 0 ? 0 : between + 1;
    most_between = std::max(most_between, between);
  }
  CHECK(most_between <= 3);
}

TEST_CASE(
    "round_robin: with rebuilds before every pick weighted turns are the same, also with a weight that is taken back",
    "[balance][round_robin]") {
  auto some = field::weighted({1, 2, 5, 0.3});
  round_robin undisturbed{3}, rebuilt{3};
  undisturbed.rebuild(some.all);
  rebuilt.rebuild(some.all);
  for (int i = 0; i < 2000; ++i) {
    for (double weight : {0.01, 5.0}) {
      some.all[2].weight = weight;
      rebuilt.rebuild(some.all);
    }
    CHECK(rebuilt.pick({}) == undisturbed.pick({}));
  }
}

TEST_CASE("round_robin: while a weight grows from rebuild to rebuild its slot has the part that it is due",
          "[balance][round_robin]") {
  for (int const picks_each : {1, 3, 17}) {
    auto some = field::apart(4);
    round_robin policy;
    double due = 0;
    int taken = 0;
    for (int step = 0; step <= 1000; ++step) {
      some.all[2].weight = 0.1 + 0.9 * step / 1000;  // at last all are equal
      policy.rebuild(some.all);
      for (int i = 0; i < picks_each; ++i) {
        due += some.all[2].weight / (3 + some.all[2].weight);
        taken += policy.pick({}) == 2u ? 1 : 0;
        CHECK(std::abs(taken - due) < 2);
      }
    }
  }
}

TEST_CASE("round_robin: from plain turns to weighted ones and back nobody is forgotten or favoured",
          "[balance][round_robin]") {
  auto some = field::weighted({1, 1, 1, 1, 2});
  round_robin policy;
  rng random{5};
  std::vector<int> count(5);
  for (int i = 0; i < 40'000; ++i) {
    std::span<candidate const> const present(some.all.data(), random.below(2) == 0 ? 4 : 5);
    policy.rebuild(present);
    ++count[policy.pick({}).value()];
  }
  auto const [least, most] = std::minmax_element(count.begin(), count.begin() + 4);
  CHECK(*least * 21 > *most * 20);
}

TEST_CASE("round_robin: weighted slots that come and go all the time leave the steady ones their fair share",
          "[balance][round_robin]") {
  auto some = field::weighted({1, 1, 3, 3, 1, 2, 3, 4});
  round_robin policy;
  rng random{11};
  std::vector<int> count(8);
  for (int i = 0; i < 80'000; ++i) {
    std::vector<candidate> present;
    for (auto const& one : some.all) {
      if (one.slot < 4 || random.below(2) == 0) present.push_back(one);
    }
    policy.rebuild(present);
    ++count[present.at(policy.pick({}).value()).slot];
  }
  CHECK(std::abs(count[1] - count[0]) * 20 < count[0]);
  CHECK(std::abs(count[2] - 3 * count[0]) * 20 < 3 * count[0]);
  CHECK(std::abs(count[3] - 3 * count[0]) * 20 < 3 * count[0]);
  CHECK(*std::min_element(count.begin() + 4, count.end()) > 0);
}

TEST_CASE("round_robin: a weight of 0 has no turn beside others", "[balance][round_robin]") {
  auto some = field::weighted({0, 1, 2});
  round_robin policy;
  policy.rebuild(some.all);
  for (std::uint32_t slot : picks(policy, some.all, 300)) CHECK(slot != 0);
  policy.rebuild(std::span(some.all).first(1));
  CHECK(policy.pick({}) == 0);
}

TEST_CASE("round_robin: after millions of picks weighted turns are as even as at first", "[balance][round_robin]") {
  auto some = field::weighted({1e6, 1, 3e5});
  round_robin policy;
  policy.rebuild(some.all);
  for (int i = 0; i < 5'000'000; ++i) policy.pick({});
  CHECK(unfairness(picks(policy, some.all, 2000), some.all) <= 1);
}
