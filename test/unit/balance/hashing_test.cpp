// SPDX-License-Identifier: Apache-2.0
// What ring_hash and maglev have in common, and how they differ. Keys and endpoints' names are fixed, and so is every hash.
#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/maglev.hpp>
#include <millrace/balance/ring_hash.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace millrace;
using balance::any_picker;
using balance::candidate;
using balance::field;
using balance::maglev;
using balance::make_picker;
using balance::pick_info;
using balance::ring_hash;

namespace {

constexpr std::string_view both[] = {"ring_hash", "maglev"};
constexpr int keys = 10'000;

std::uint64_t key(int number) { return stable_hash("key-" + std::to_string(number)); }

// the endpoint of each key
std::vector<std::uint32_t> map(any_picker& policy, std::span<candidate const> from) {
  policy.rebuild(from);
  std::vector<std::uint32_t> endpoints;
  for (int i = 0; i < keys; ++i) endpoints.push_back(from[policy.pick({.now = {}, .hash = key(i)}).value()].endpoint);
  return endpoints;
}

std::vector<int> shares(std::vector<std::uint32_t> const& endpoints, std::size_t count) {
  std::vector<int> share(count);
  for (std::uint32_t one : endpoints) ++share[one];
  return share;
}

// keys that moved although the endpoint they were on is still there, and the one they are on was there before
int moved_in_vain(std::vector<std::uint32_t> const& before, std::vector<std::uint32_t> const& after,
                  std::uint32_t changed) {
  int moved = 0;
  for (int i = 0; i < keys; ++i) {
    moved += before[static_cast<std::size_t>(i)] != after[static_cast<std::size_t>(i)] &&
                     before[static_cast<std::size_t>(i)] != changed && after[static_cast<std::size_t>(i)] != changed
                 ? 1
                 : 0;
  }
  return moved;
}

}  // namespace

TEST_CASE("hashing: without candidates there is no pick", "[balance][hashing]") {
  for (std::string_view name : both) {
    any_picker policy = make_picker(name, 1);
    CHECK_FALSE(policy.pick({.now = {}, .hash = 5}));
    auto some = field::apart(2);
    policy.rebuild(some.all);
    CHECK(policy.pick({.now = {}, .hash = 5}));
    policy.rebuild({});
    CHECK_FALSE(policy.pick({.now = {}, .hash = 5}));
    CHECK_FALSE(policy.pick({}));
  }
}

TEST_CASE("hashing: the least and the greatest hash have a place", "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(5);
    any_picker policy = make_picker(name, 1);
    policy.rebuild(some.all);
    CHECK(policy.pick({.now = {}, .hash = 0}).value() < 5);
    CHECK(policy.pick({.now = {}, .hash = std::numeric_limits<std::uint64_t>::max()}).value() < 5);
  }
}

TEST_CASE("hashing: a key's calls go to one endpoint, whatever the seed and the order of the endpoints",
          "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(7);
    any_picker one = make_picker(name, 1, 7), other = make_picker(name, 2, 7);
    auto const mapped = map(one, some.all);
    CHECK(map(one, some.all) == mapped);
    // the other client lists the endpoints the other way round: its number for an endpoint is another
    std::vector<candidate> reversed(some.all.rbegin(), some.all.rend());
    for (std::uint32_t at = 0; at < 7; ++at) reversed[at].slot = reversed[at].endpoint = at;
    auto theirs = map(other, reversed);
    for (auto& endpoint : theirs) endpoint = 6 - endpoint;
    CHECK(theirs == mapped);
  }
}

TEST_CASE("ring_hash: shares differ as its points let them", "[balance][hashing][ring_hash]") {
  for (std::uint32_t size : {2u, 3u, 5u, 10u}) {
    auto some = field::apart(size);
    any_picker policy = make_picker("ring_hash", 1, size);
    double const mean = double(keys) / size;
    // four standard deviations: of the points, 1 / √n, and of the keys
    double const bound = 4 * mean * std::sqrt(size / 1024.0 + 1 / mean);
    for (int share : shares(map(policy, some.all), size)) CHECK(std::abs(share - mean) < bound);
  }
}

TEST_CASE("maglev: shares are even but for the keys' own chance", "[balance][hashing][maglev]") {
  for (std::uint32_t size : {2u, 3u, 5u, 10u, 100u}) {
    auto some = field::apart(size);
    any_picker policy = make_picker("maglev", 1);
    double const mean = double(keys) / size;
    for (int share : shares(map(policy, some.all), size)) CHECK(std::abs(share - mean) < 4.5 * std::sqrt(mean));
  }
}

TEST_CASE("ring_hash: an endpoint has keys by the weight of its source", "[balance][hashing][ring_hash]") {
  auto some = field::apart(3);
  some.weigh_endpoints({1, 2, 5});
  any_picker policy = make_picker("ring_hash", 1, 8);
  auto const share = shares(map(policy, some.all), 3);
  for (std::uint32_t at = 0; at < 3; ++at) {
    double const weight = some.all[at].endpoint_weight, mean = keys * weight / 8;
    CHECK(std::abs(share[at] - mean) < 4 * mean * std::sqrt(8 / (1024 * weight) + 1 / mean));
  }
}

TEST_CASE("maglev: an endpoint has keys by the weight of its source", "[balance][hashing][maglev]") {
  auto some = field::apart(4);
  some.weigh_endpoints({1, 2, 5, 500'000});
  maglev policy{1, {.table_size = 5003}};
  policy.rebuild(some.all);
  // every place of the table once: shares are exact
  std::vector<int> share(4);
  for (std::uint64_t place = 0; place < 5003; ++place) ++share[policy.pick({.now = {}, .hash = place}).value()];
  CHECK(share == std::vector<int>{1, 1, 1, 5000});
  some.weigh_endpoints({1, 2, 5, 2});
  policy.rebuild(some.all);
  share.assign(4, 0);
  for (std::uint64_t place = 0; place < 5003; ++place) ++share[policy.pick({.now = {}, .hash = place}).value()];
  for (std::size_t at = 0; at < 4; ++at) CHECK(std::abs(share[at] - 500.3 * some.all[at].endpoint_weight) <= 2);
}

TEST_CASE("hashing: weights that are equal are as none", "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(5);
    any_picker plain = make_picker(name, 1, 5), equal = make_picker(name, 1, 35);
    auto const mapped = map(plain, some.all);
    some.weigh_endpoints({7, 7, 7, 7, 7});
    CHECK(map(equal, some.all) == mapped);
  }
}

TEST_CASE("hashing: a slow start moves no key, and another weight of the source does", "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(4);
    any_picker policy = make_picker(name, 1, 6);
    auto const before = map(policy, some.all);
    some.all[2].weight = 0.1;
    CHECK(map(policy, some.all) == before);
    some.weigh_endpoints({1, 1, 3, 1});
    auto const after = map(policy, some.all);
    CHECK(std::ranges::count(after, 2u) > std::ranges::count(before, 2u) * 3 / 2);
  }
}

TEST_CASE("ring_hash: a weighted endpoint that goes moves its own keys only, when the sum of the weights is known",
          "[balance][hashing][ring_hash]") {
  auto some = field::apart(4);
  some.weigh_endpoints({3, 1, 4, 2});
  any_picker policy = make_picker("ring_hash", 1, 10);
  auto const before = map(policy, some.all);
  for (std::uint32_t gone = 0; gone < 4; ++gone) {
    CHECK(moved_in_vain(before, map(policy, some.without(gone)), gone) == 0);
    CHECK(map(policy, some.all) == before);
  }
}

TEST_CASE("maglev: weighted endpoints in another order have the same keys", "[balance][hashing][maglev]") {
  auto some = field::apart(7);
  some.weigh_endpoints({3, 1, 4, 1, 5, 9, 2});
  any_picker one = make_picker("maglev", 1), other = make_picker("maglev", 2);
  auto const mapped = map(one, some.all);
  std::vector<candidate> reversed(some.all.rbegin(), some.all.rend());
  for (std::uint32_t at = 0; at < 7; ++at) reversed[at].slot = reversed[at].endpoint = at;
  auto theirs = map(other, reversed);
  for (auto& endpoint : theirs) endpoint = 6 - endpoint;
  CHECK(theirs == mapped);
}

TEST_CASE("hashing: the load bound is by weight", "[balance][hashing]") {
  for (std::string_view name : both) {
    for (int i = 0; i < 20; ++i) {
      auto some = field::apart(3);
      some.weigh_endpoints({1, 2, 5});
      any_picker policy = make_picker(name, 1, 8);
      policy.rebuild(some.all);
      std::size_t const home = policy.pick({.now = {}, .hash = key(i)}).value();
      for (std::uint32_t calls = 0; calls < 800; ++calls) {
        ++some.load[policy.pick({.now = {}, .hash = key(i), .in_flight = calls}).value()];
      }
      for (std::size_t at = 0; at < 3; ++at) CHECK(some.load[at] <= 125 * some.all[at].endpoint_weight);
      CHECK(some.load[home] == 125 * some.all[home].endpoint_weight);
    }
  }
}

TEST_CASE("ring_hash: an endpoint that goes and returns moves its own keys only", "[balance][hashing][ring_hash]") {
  for (std::uint32_t size : {2u, 3u, 10u}) {
    auto some = field::apart(size);
    any_picker policy = make_picker("ring_hash", 1, size);
    auto const before = map(policy, some.all);
    for (std::uint32_t gone : {0u, size - 1}) {
      CAPTURE(size, gone);
      auto const after = map(policy, some.without(gone));
      CHECK(moved_in_vain(before, after, gone) == 0);
      CHECK(std::ranges::count(after, gone) == 0);
      CHECK(map(policy, some.all) == before);
    }
  }
}

TEST_CASE("ring_hash: the keys of an endpoint that goes are shared out over the others",
          "[balance][hashing][ring_hash]") {
  auto some = field::apart(5);
  any_picker policy = make_picker("ring_hash", 1, 5);
  auto const before = map(policy, some.all);
  auto const after = map(policy, some.without(2));
  std::vector<int> heirs(5);
  int moved = 0;
  for (int i = 0; i < keys; ++i) {
    if (before[static_cast<std::size_t>(i)] == after[static_cast<std::size_t>(i)]) continue;
    ++moved;
    ++heirs[after[static_cast<std::size_t>(i)]];
  }
  CHECK(std::abs(moved - keys / 5) < keys / 20);
  for (std::uint32_t one : {0u, 1u, 3u, 4u}) CHECK(heirs[one] > moved / 8);
}

TEST_CASE("maglev: an endpoint that goes moves its own keys and a few per cent of the others",
          "[balance][hashing][maglev]") {
  for (std::uint32_t size : {2u, 3u, 10u, 100u}) {
    auto some = field::apart(size);
    any_picker policy = make_picker("maglev", 1);
    auto const before = map(policy, some.all);
    CAPTURE(size);
    CHECK(moved_in_vain(before, map(policy, some.without(1)), 1) < keys * 3 / 100);
    CHECK(map(policy, some.all) == before);
  }
}

TEST_CASE("hashing: a second slot of an endpoint moves no key, and the least loaded slot is taken",
          "[balance][hashing]") {
  for (std::string_view name : both) {
    field some{0, 1, 2, 0, 1, 2, 2};
    any_picker policy = make_picker(name, 1, 3);
    auto const with_one_each = map(policy, std::span(some.all).first(3));
    CHECK(map(policy, some.all) == with_one_each);
    some.load = {1, 1, 1, 0, 0, 2, 0};
    for (int i = 0; i < 100; ++i) {
      std::size_t const slot[] = {3, 4, 6};
      CHECK(policy.pick({.now = {}, .hash = key(i), .in_flight = 1000}) ==
            slot[with_one_each[static_cast<std::size_t>(i)]]);
    }
  }
}

TEST_CASE("hashing: calls without a key go anywhere", "[balance][hashing]") {
  std::uint64_t const seed = 3;
  CAPTURE(seed);
  for (std::string_view name : both) {
    auto some = field::apart(4);
    any_picker policy = make_picker(name, seed, 4);
    policy.rebuild(some.all);
    std::vector<int> count(4);
    for (int i = 0; i < 4000; ++i) ++count[policy.pick({}).value()];
    for (int one : count) CHECK(std::abs(one - 1000) < 350);
  }
}

TEST_CASE("hashing: with bounded load no endpoint has more than its share of calls, and a key stays while it may",
          "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(10);
    any_picker policy = make_picker(name, 1, 10);
    policy.rebuild(some.all);
    std::size_t const home = policy.pick({.now = {}, .hash = key(0)}).value();
    // all calls have one key: its endpoint takes a quarter more than the mean, the next on the way likewise …
    for (std::uint32_t calls = 0; calls < 1000; ++calls) {
      std::size_t const at = policy.pick({.now = {}, .hash = key(0), .in_flight = calls}).value();
      ++some.load[at];
      CHECK(some.load[at] <= std::ceil(1.25 * (calls + 1) / 10));
      if (some.load[home] + 1 <= 1.25 * (calls + 1) / 10) CHECK(at == home);
    }
    CHECK(*std::ranges::max_element(some.load) == 125);
    CHECK(some.load[home] == 125);
    CHECK(std::ranges::count(some.load, 125u) == 8);
  }
}

TEST_CASE("hashing: without a load bound a key stays whatever the load", "[balance][hashing]") {
  auto some = field::apart(5);
  ring_hash ring{1, {.load_bound = 0}};
  maglev table{1, {.load_bound = 0}};
  ring.rebuild(some.all);
  table.rebuild(some.all);
  std::size_t const on_ring = ring.pick({.now = {}, .hash = key(1)}).value();
  std::size_t const in_table = table.pick({.now = {}, .hash = key(1)}).value();
  some.load[on_ring] = some.load[in_table] = 1000;
  CHECK(ring.pick({.now = {}, .hash = key(1), .in_flight = 2000}) == on_ring);
  CHECK(table.pick({.now = {}, .hash = key(1), .in_flight = 2000}) == in_table);
  // nor does a retry go elsewhere than it would with one
  ring_hash bounded{1};
  bounded.rebuild(some.all);
  for (int i = 0; i < 20; ++i) {
    pick_info const info{
        .now = {}, .avoid_endpoint = static_cast<std::uint32_t>(on_ring), .hash = key(i), .in_flight = 2000};
    some.load.assign(5, 0);
    CHECK(ring.pick(info) == bounded.pick(info));
  }
}

TEST_CASE("hashing: an endpoint in another one's place has keys by its own name", "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(4);
    any_picker policy = make_picker(name, 1, 4), fresh = make_picker(name, 1, 4);
    map(policy, some.without(3));
    auto const replaced = some.without(2);
    CHECK(map(policy, replaced) == map(fresh, replaced));
  }
}

TEST_CASE("hashing: a retry of a key goes to another endpoint, and of the same key to the same one",
          "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(5);
    any_picker policy = make_picker(name, 1, 5);
    auto const home = map(policy, some.all);
    for (int i = 0; i < 100; ++i) {
      pick_info const info{.now = {},
                           .avoid_slot = home[static_cast<std::size_t>(i)],
                           .avoid_endpoint = home[static_cast<std::size_t>(i)],
                           .hash = key(i)};
      std::size_t const second = policy.pick(info).value();
      CHECK(second != home[static_cast<std::size_t>(i)]);
      CHECK(policy.pick(info) == second);
      // where it would be if its own were gone
      if (name == "ring_hash")
        CHECK(map(policy, some.without(home[static_cast<std::size_t>(i)]))[static_cast<std::size_t>(i)] == second);
      policy.rebuild(some.all);
    }
  }
}

TEST_CASE("ring_hash: with unknown endpoints it goes by those that are ready", "[balance][hashing][ring_hash]") {
  auto some = field::apart(3);
  any_picker known = make_picker("ring_hash", 1, 3), unknown = make_picker("ring_hash", 1);
  CHECK(map(known, some.all) == map(unknown, some.all));
  auto const before = map(unknown, some.all);
  int const moved = moved_in_vain(before, map(unknown, some.without(0)), 0);
  CHECK(moved > 0);  // its reason to be told
  CHECK(moved < keys / 3);
}

TEST_CASE("ring_hash: what the pool says of its endpoints moves no key in vain, and a change of that is heeded",
          "[balance][hashing][ring_hash]") {
  auto some = field::apart(3);
  any_picker told = make_picker("ring_hash", 1), known = make_picker("ring_hash", 1, 3),
             more = make_picker("ring_hash", 1, 5);
  auto const of = [](std::vector<candidate> all, std::uint64_t weight) {
    for (candidate& one : all) one.pool_weight = weight;
    return all;
  };
  auto const before = map(told, of(some.all, 3));
  CHECK(before == map(known, some.all));
  CHECK(moved_in_vain(before, map(told, of(some.without(0), 3)), 0) == 0);
  CHECK(map(told, of(some.all, 3)) == before);
  CHECK(map(told, of(some.all, 5)) == map(more, some.all));
}

TEST_CASE("ring_hash: more endpoints than points have one each", "[balance][hashing][ring_hash]") {
  auto some = field::apart(50);
  ring_hash policy{1, {.min_ring_size = 1, .max_ring_size = 10}};
  policy.rebuild(some.all);
  std::vector<int> count(50);
  for (int i = 0; i < keys; ++i) ++count[policy.pick({.now = {}, .hash = key(i)}).value()];
  CHECK(std::ranges::count(count, 0) <= 2);  // whose stretch of the ring is too short for a key of these
}

TEST_CASE("hashing: a thousand endpoints have each a key", "[balance][hashing]") {
  for (std::string_view name : both) {
    auto some = field::apart(1000);
    any_picker policy = make_picker(name, 1, 1000);
    CHECK(std::ranges::count(shares(map(policy, some.all), 1000), 0) < (name == "maglev" ? 3 : 50));
  }
}

TEST_CASE("ring_hash: sizes and bounds that are not allowed are refused by name", "[balance][hashing][ring_hash]") {
  CHECK_NOTHROW(ring_hash(1, {.min_ring_size = 1, .max_ring_size = 1, .load_bound = 1}));
  CHECK_THROWS_WITH(ring_hash(1, {.min_ring_size = 0}), "ring_hash_params.min_ring_size is 0; allowed: 1 to 4096");
  CHECK_THROWS_WITH(ring_hash(1, {.min_ring_size = 5000}),
                    "ring_hash_params.min_ring_size is 5000; allowed: 1 to 4096");
  CHECK_THROWS_WITH(ring_hash(1, {.max_ring_size = 9'000'000}),
                    "ring_hash_params.max_ring_size is 9000000; allowed: 1 to 8388608");
  CHECK_THROWS_WITH(ring_hash(1, {.load_bound = 0.5}),
                    "ring_hash_params.load_bound is 0.500000; allowed: 1 to 1000, or 0 for none");
}

TEST_CASE("maglev: sizes and bounds that are not allowed are refused by name", "[balance][hashing][maglev]") {
  CHECK_NOTHROW(maglev(1, {.table_size = 2}));
  CHECK_NOTHROW(maglev(1, {.table_size = 5'000'011}));
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{5'000'077}}) {
    CHECK_THROWS_WITH(maglev(1, {.table_size = size}),
                      "maglev_params.table_size is " + std::to_string(size) + "; allowed: a prime, 2 to 5000011");
  }
  CHECK_THROWS_WITH(maglev(1, {.load_bound = std::numeric_limits<double>::quiet_NaN()}),
                    "maglev_params.load_bound is nan; allowed: 1 to 1000, or 0 for none");
}

TEST_CASE("maglev: the smallest tables serve too", "[balance][hashing][maglev]") {
  for (std::size_t size : {2u, 3u, 5u, 7u}) {
    auto some = field::apart(4);
    maglev policy{1, {.table_size = size}};
    policy.rebuild(some.all);
    for (int i = 0; i < 100; ++i) CHECK(policy.pick({.now = {}, .hash = key(i), .in_flight = 5}).value() < 4);
  }
}
