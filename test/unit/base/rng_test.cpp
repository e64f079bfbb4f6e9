// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <array>
#include <cmath>
#include <cstdint>

using namespace millrace;

TEST_CASE("rng: is splitmix64 as published", "[base][rng]") {
  // the first outputs of the reference implementation (Vigna, splitmix64.c) for the seed 1234567
  rng random{1234567};
  for (std::uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
                                 16408922859458223821u}) {
    CHECK(random.next() == expected);
  }
}

TEST_CASE("rng: can run at compile time, and a seed is a sequence", "[base][rng]") {
  static_assert(rng{1}.next() == rng{1}.next());
  static_assert(rng{1}.next() != rng{2}.next());
  rng one{9}, same{9};
  for (int i = 0; i < 100; ++i) CHECK(one.next() == same.next());
}

TEST_CASE("rng: below stays below and gives each number its share", "[base][rng]") {
  rng random{3};
  std::array<int, 10> count{};
  int const draws = 100000;
  for (int i = 0; i < draws; ++i) ++count.at(random.below(10));
  // chi-squared with 9 degrees of freedom exceeds 27.9 once in a thousand seeds
  double chi_squared = 0;
  for (int seen : count) chi_squared += std::pow(seen - draws / 10.0, 2) / (draws / 10.0);
  CHECK(chi_squared < 27.9);
}

TEST_CASE("rng: below takes the smallest and the greatest bound", "[base][rng]") {
  rng random{3};
  std::uint32_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK(random.below(1) == 0);
    most = std::max(most, random.below(~std::uint32_t{0}));
  }
  CHECK(most > 4200000000u);
}

TEST_CASE("rng: uniform and between fill their range and keep inside it", "[base][rng]") {
  rng random{3};
  double sum = 0, least = 9, most = 0;
  for (int i = 0; i < 100000; ++i) {
    double const one = random.uniform();
    sum += one;
    least = std::min(least, random.between(5, 7));
    most = std::max(most, random.between(5, 7));
    if (one < 0 || one >= 1) FAIL(one);
  }
  // standard error 0.0009, the bound is five of them
  CHECK(std::abs(sum / 100000 - 0.5) < 0.0046);
  CHECK(least >= 5);
  CHECK(least < 5.001);
  CHECK(most < 7);
  CHECK(most > 6.999);
}
