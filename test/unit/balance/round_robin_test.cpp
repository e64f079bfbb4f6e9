// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/round_robin.hpp>

#include "support.hpp"

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <numeric>
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

TEST_CASE("round_robin: weights and loads do not matter", "[balance][round_robin]") {
  field some;
  some.add(0, 0);
  some.add(1, 100);
  some.load[1] = 1000;
  round_robin policy;
  policy.rebuild(some.all);
  CHECK(picks(policy, some.all, 4) == slots{0, 1, 0, 1});
}
