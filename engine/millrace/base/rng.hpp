// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

/// A small generator (splitmix64, Steele, Lea and Flood 2014): fast, seedable, one word of state. Not for secrets.
/// Machines take one by reference, so a test decides what "random" is.
class rng {
 public:
  explicit constexpr rng(std::uint64_t seed) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30u)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27u)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31u);
  }

  /// Uniform in [0, bound); `bound` is at least 1. (Lemire's multiplication, without the rejection: bias below 2^-32.)
  constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32u) * bound) >> 32u);
  }

  /// Uniform in [0, 1).
  constexpr double uniform() noexcept { return static_cast<double>(next() >> 11u) * 0x1.0p-53; }

  /// Uniform in [low, high).
  constexpr double between(double low, double high) noexcept { return low + (high - low) * uniform(); }

 private:
  std::uint64_t state_;
};

}  // namespace millrace
