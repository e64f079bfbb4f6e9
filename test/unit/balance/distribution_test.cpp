// SPDX-License-Identifier: Apache-2.0
// Picks that are up to chance have the distribution that they are said to have: chi-square at 10⁻⁶, with fixed seeds.
#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/least_request.hpp>

#include "chi_square.hpp"
#include "support.hpp"

#include <support/catch.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace millrace;
using balance::field;
using balance::make_picker;
using balance::plausible;

namespace {

constexpr int picks = 60'000;

template <class Policy>
std::vector<int> histogram(Policy& policy, field const& some) {
  policy.rebuild(some.all);
  std::vector<int> counts(some.all.size());
  for (int i = 0; i < picks; ++i) ++counts[policy.pick({}).value()];
  return counts;
}

std::vector<double> weights(field const& some) {
  std::vector<double> all;
  for (auto const& one : some.all) all.push_back(one.weight);
  return all;
}

}  // namespace

TEST_CASE("chi-square: tells a biased count from a fair one", "[balance][distribution]") {
  CHECK(plausible({5000, 5100, 4900}));
  CHECK_FALSE(plausible({5000, 5500, 4500}));
  CHECK(plausible({1000, 2050, 2950}, {1, 2, 3}));
  CHECK_FALSE(plausible({1000, 2400, 2600}, {1, 2, 3}));
}

TEST_CASE("distribution: idle candidates of equal weight are picked alike", "[balance][distribution]") {
  for (std::string_view name : {"least_request", "peak_ewma", "maglev"}) {
    for (std::uint32_t size : {2u, 3u, 10u, 100u}) {
      auto policy = make_picker(name, 1, size);
      CAPTURE(name, size);
      CHECK(plausible(histogram(policy, field::apart(size))));
    }
  }
}

TEST_CASE("distribution: least_request picks idle candidates by weight", "[balance][distribution]") {
  std::vector<double> const mixtures[] = {{1, 3}, {0.1, 1, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {0.01, 100, 50.5}};
  for (auto const& mixture : mixtures) {
    for (unsigned choice_count : {2u, 5u, 10u}) {
      auto const some = field::weighted(mixture);
      balance::least_request policy{7, choice_count};
      CAPTURE(mixture, choice_count);
      CHECK(plausible(histogram(policy, some), weights(some)));
    }
  }
}

TEST_CASE("distribution: with many calls in flight least_request still picks by weight", "[balance][distribution]") {
  // each pick begins a call and ends the oldest of 500
  auto some = field::weighted({1, 2, 3, 4, 10});
  balance::least_request policy{3};
  policy.rebuild(some.all);
  std::vector<std::size_t> flying;
  std::vector<int> counts(some.all.size());
  for (std::size_t i = 0; i < 20'000; ++i) {
    if (i >= 500) --some.load[flying[i - 500]];
    std::size_t const at = policy.pick({}).value();
    ++some.load[at];
    ++counts[at];
    flying.push_back(at);
  }
  CHECK(plausible(counts, weights(some)));
}

TEST_CASE("distribution: maglev gives endpoints calls without a key by weight", "[balance][distribution]") {
  auto some = field::apart(6);
  some.weigh_endpoints({1, 2, 3, 4, 5, 6});
  auto policy = make_picker("maglev", 11);
  CHECK(plausible(histogram(policy, some), {1, 2, 3, 4, 5, 6}));
}

TEST_CASE("distribution: maglev gives endpoints keys by weight", "[balance][distribution]") {
  auto some = field::apart(5);
  some.weigh_endpoints({10, 1, 3, 3, 1});
  auto policy = make_picker("maglev", 1);
  policy.rebuild(some.all);
  std::vector<int> counts(5);
  for (int i = 0; i < picks; ++i) {
    ++counts[policy.pick({.now = {}, .hash = stable_hash("user-" + std::to_string(i))}).value()];
  }
  CHECK(plausible(counts, {10, 1, 3, 3, 1}));
}

TEST_CASE("distribution: clients with seeds of their own start anywhere", "[balance][distribution]") {
  for (bool const weighted : {false, true}) {
    auto some = field::apart(8);
    for (auto& one : some.all)
      one.weight = weighted && one.slot % 2 == 1 ? 1.0001 : 1;  // nearly equal, but no plain turns
    std::vector<int> first(8);
    for (std::uint64_t seed = 0; seed < 8000; ++seed) {
      auto policy = make_picker("round_robin", seed);
      policy.rebuild(some.all);
      ++first[policy.pick({}).value()];
    }
    CAPTURE(weighted);
    CHECK(plausible(first));
  }
}
