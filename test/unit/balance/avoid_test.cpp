// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/impl/avoid.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

using namespace millrace;
using balance::candidate;
using balance::field;
using balance::make_picker;
using balance::nobody;
using balance::pick_info;

namespace {

// what the rule allows: those on another endpoint, or else on another slot, or else any
bool allowed(candidate const& picked, std::span<candidate const> from, pick_info const& info) {
  auto const elsewhere = [&](candidate const& one) { return one.endpoint != info.avoid_endpoint; };
  auto const another = [&](candidate const& one) { return one.slot != info.avoid_slot; };
  auto const both = [&](candidate const& one) { return elsewhere(one) && another(one); };
  if (std::ranges::any_of(from, both)) return both(picked);
  if (std::ranges::any_of(from, elsewhere)) return elsewhere(picked);
  if (std::ranges::any_of(from, another)) return another(picked);
  return true;
}

}  // namespace

TEST_CASE("balance: every policy avoids the endpoint first, else the slot, whatever else there is",
          "[balance][avoid]") {
  field fields[] = {{0}, {0, 0}, {0, 1}, {0, 0, 0}, {0, 0, 1}, {1, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 1, 2, 2}};
  bool const weighted = GENERATE(false, true);
  for (field& some : fields) some.all[0].weight = weighted ? 20 : 1;
  for (std::string_view name : balance::policy_names()) {
    for (field const& some : fields) {
      auto policy = make_picker(name, 9);
      policy.rebuild(some.all);
      for (std::uint32_t slot : {0u, 1u, 2u, 99u, nobody}) {
        for (std::uint32_t endpoint : {0u, 1u, 99u, nobody}) {
          pick_info const info{.now = {}, .avoid_slot = slot, .avoid_endpoint = endpoint};
          for (int i = 0; i < 50; ++i) {
            candidate const& picked = some.all.at(policy.pick(info).value());
            if (!allowed(picked, some.all, info)) FAIL(name << " picked " << picked.slot << " avoiding " << slot);
          }
        }
      }
    }
  }
}

TEST_CASE("balance: the one slot elsewhere is found among a thousand to be avoided", "[balance][avoid]") {
  field crowd;
  for (int i = 0; i < 1000; ++i) crowd.add(i == 617 ? 1 : 0);
  for (std::string_view name : balance::policy_names()) {
    auto policy = make_picker(name, 2);
    policy.rebuild(crowd.all);
    for (int i = 0; i < 100; ++i) CHECK(policy.pick({.now = {}, .avoid_endpoint = 0}) == 617);
  }
}

TEST_CASE("balance: with nothing to avoid the first choice stands", "[balance][avoid]") {
  auto some = field::apart(8);
  int asked = 0;
  auto const pick = balance::impl::pick_avoiding(some.all, {}, [&asked] { return ++asked, std::size_t{5}; });
  CHECK(pick == 5);
  CHECK(asked == 1);
}

TEST_CASE("balance: an unwelcome choice is asked again twice, then the next in order is taken", "[balance][avoid]") {
  auto some = field::apart(8);
  int asked = 0;
  pick_info const info{.now = {}, .avoid_slot = 7};
  auto const pick = balance::impl::pick_avoiding(some.all, info, [&asked] { return ++asked, std::size_t{7}; });
  CHECK(pick == 0);
  CHECK(asked == 3);
}

TEST_CASE("balance: when all are equally unwelcome the last choice stands", "[balance][avoid]") {
  field some{3, 3, 3, 3};
  pick_info const info{.now = {}, .avoid_endpoint = 3};
  CHECK(balance::impl::pick_avoiding(some.all, info, [] { return std::size_t{2}; }) == 2);
}

TEST_CASE("balance: a second choice that is welcome is taken", "[balance][avoid]") {
  auto some = field::apart(8);
  std::size_t next = 4;
  pick_info const info{.now = {}, .avoid_slot = 4};
  CHECK(balance::impl::pick_avoiding(some.all, info, [&next] { return next++; }) == 5);
}

TEST_CASE("round_robin: retries that avoid one endpoint still go round the others", "[balance][avoid][round_robin]") {
  auto some = field::apart(4);
  auto policy = make_picker("round_robin", 1);
  policy.rebuild(some.all);
  std::vector<int> count(4);
  for (int i = 0; i < 300; ++i) ++count[policy.pick({.now = {}, .avoid_endpoint = 2}).value()];
  CHECK(count == std::vector<int>{100, 100, 0, 100});
}
