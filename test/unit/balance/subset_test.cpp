// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/subset.hpp>

#include <millrace/base/hash_key.hpp>

#include "chi_square.hpp"

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace millrace;
using balance::aperture_params;
using balance::choose_subset;

namespace {

using hashes = std::vector<std::uint64_t>;

hashes endpoints(std::uint32_t count) {
  hashes made;
  for (std::uint32_t one = 0; one < count; ++one) made.push_back(stable_hash("endpoint-" + std::to_string(one)));
  return made;
}

hashes without(hashes all, std::size_t gone) {
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(gone));
  return all;
}

// the hashes of those that are chosen
std::set<std::uint64_t> chosen(hashes const& from, aperture_params const& params, std::uint64_t seed) {
  std::set<std::uint64_t> made;
  for (std::uint32_t at : choose_subset(from, params, seed)) made.insert(from.at(at));
  return made;
}

// how many of `clients` have each endpoint; with numbers, or at random
std::vector<int> clients_of_each(std::uint32_t count, std::uint32_t size, std::uint32_t clients, bool numbered) {
  hashes const all = endpoints(count);
  std::vector<int> having(count);
  for (std::uint32_t client = 0; client < clients; ++client) {
    aperture_params params{.size = size};
    if (numbered) params = {.size = size, .client_index = client, .clients = clients};
    for (std::uint32_t at : choose_subset(all, params, client)) ++having[at];
  }
  return having;
}

// how many endpoints are in `after` that were not in `before`
std::size_t newcomers(std::set<std::uint64_t> const& before, std::set<std::uint64_t> const& after) {
  return static_cast<std::size_t>(
      std::ranges::count_if(after, [&](std::uint64_t one) { return !before.contains(one); }));
}

}  // namespace

TEST_CASE("subset: all, in their order, when the size is 0 or there are no more", "[balance][subset]") {
  hashes const all = endpoints(5);
  std::vector<std::uint32_t> const every{0, 1, 2, 3, 4};
  CHECK(choose_subset(all, {}, 1) == every);
  CHECK(choose_subset(all, {.size = 5}, 1) == every);
  CHECK(choose_subset(all, {.size = 6, .client_index = 1, .clients = 3}, 1) == every);
  CHECK(choose_subset({}, {.size = 3}, 1).empty());
  CHECK(choose_subset({}, {.size = 3, .client_index = 1, .clients = 3}, 1).empty());
}

TEST_CASE("subset: so many, each once, in the order given", "[balance][subset]") {
  for (std::uint32_t count : {2u, 10u, 97u}) {
    hashes const all = endpoints(count);
    for (std::uint32_t size = 1; size < count; size += 1 + size / 3) {
      for (std::uint32_t client = 0; client < 7; ++client) {
        for (aperture_params const& params :
             {aperture_params{.size = size}, aperture_params{.size = size, .client_index = client, .clients = 7}}) {
          auto const made = choose_subset(all, params, client);
          CHECK(made.size() == size);
          CHECK(std::ranges::adjacent_find(made, std::ranges::greater_equal{}) == made.end());
          CHECK(made.back() < count);
        }
      }
    }
  }
}

TEST_CASE("subset: numbered clients give each endpoint the same number of clients, but for one", "[balance][subset]") {
  for (std::uint32_t count : {3u, 10u, 97u, 200u}) {
    for (std::uint32_t size : {1u, 2u, 7u, 20u}) {
      for (std::uint32_t clients : {1u, 2u, 9u, 100u, 333u}) {
        auto const having = clients_of_each(count, size, clients, true);
        auto const [least, most] = std::ranges::minmax_element(having);
        CAPTURE(count, size, clients);
        CHECK(*most - *least <= 1);
      }
    }
  }
}

TEST_CASE("subset: clients without numbers give each endpoint its clients by chance, evenly", "[balance][subset]") {
  for (std::uint32_t size : {1u, 5u, 20u, 40u}) {
    CAPTURE(size);
    // that a client has an endpoint once at most makes it more even than that
    CHECK(balance::plausible(clients_of_each(50, size, 3000, false)));
  }
}

TEST_CASE("subset: the order in which a client lists the endpoints does not matter", "[balance][subset]") {
  hashes const all = endpoints(60);
  hashes const reversed(all.rbegin(), all.rend());
  for (std::uint32_t client = 0; client < 20; ++client) {
    aperture_params const numbered{.size = 8, .client_index = client, .clients = 20};
    CHECK(chosen(all, numbered, 0) == chosen(reversed, numbered, 99));
    CHECK(chosen(all, {.size = 8}, client) == chosen(reversed, {.size = 8}, client));
  }
}

TEST_CASE("subset: without numbers an endpoint that goes is replaced by one, and nothing else changes",
          "[balance][subset]") {
  hashes const all = endpoints(40);
  for (std::size_t gone = 0; gone < all.size(); ++gone) {
    for (std::uint64_t client = 0; client < 50; ++client) {
      auto const before = chosen(all, {.size = 6}, client);
      auto const after = chosen(without(all, gone), {.size = 6}, client);
      CHECK(newcomers(before, after) == (before.contains(all[gone]) ? 1 : 0));
    }
  }
}

TEST_CASE("subset: with numbers an endpoint that goes changes one other at most, and in a third of the clients",
          "[balance][subset]") {
  hashes const all = endpoints(40);
  std::uint32_t const clients = 50;
  int in_vain = 0, had_it_not = 0;
  for (std::size_t gone = 0; gone < all.size(); ++gone) {
    for (std::uint32_t client = 0; client < clients; ++client) {
      aperture_params const params{.size = 6, .client_index = client, .clients = clients};
      auto const before = chosen(all, params, 0);
      auto const after = chosen(without(all, gone), params, 0);
      CHECK(newcomers(before, after) <= 1);
      if (before.contains(all[gone])) continue;
      ++had_it_not;
      in_vain += newcomers(before, after) > 0 ? 1 : 0;
    }
  }
  CHECK(in_vain * 10 < had_it_not * 4);
}

TEST_CASE("subset: params that are not allowed are refused by name", "[balance][subset]") {
  auto const check = [](aperture_params const& params) { validate(params, "pool_params.aperture"); };
  CHECK_NOTHROW(check({}));
  CHECK_NOTHROW(check({.size = 1, .client_index = 0, .clients = 1}));
  CHECK_THROWS_WITH(check({.client_index = 3, .clients = 3}),
                    "pool_params.aperture.client_index is 3; allowed: less than clients, 3");
  CHECK_THROWS_WITH(check({.client_index = 0}),
                    "pool_params.aperture.client_index is 0; allowed: less than clients, 0");
  CHECK_THROWS_WITH(check({.clients = 5}), "pool_params.aperture.clients is 5; allowed: 0 without a client_index");
}
