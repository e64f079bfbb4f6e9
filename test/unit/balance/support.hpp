// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/candidate.hpp>
#include <millrace/base/hash_key.hpp>

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

namespace millrace::balance {

/// Candidates with the loads they point to.
class field {
 public:
  field() = default;
  field(field&&) = default;  // a deque's elements stay where they are

  /// One slot each, in order, on the endpoints named.
  field(std::initializer_list<std::uint32_t> endpoints) {
    for (std::uint32_t endpoint : endpoints) add(endpoint);
  }

  /// `count` slots, each on an endpoint of its own.
  static field apart(std::uint32_t count) {
    field made;
    for (std::uint32_t endpoint = 0; endpoint < count; ++endpoint) made.add(endpoint);
    return made;
  }

  /// A slot of each weight, each on an endpoint of its own.
  static field weighted(std::vector<double> const& weights) {
    field made;
    for (double weight : weights) made.add(static_cast<std::uint32_t>(made.all.size()), weight);
    return made;
  }

  /// The same slots on endpoints of these weights, which only the hashing policies look at.
  field& weigh_endpoints(std::initializer_list<std::uint32_t> weights) {
    for (candidate& one : all) one.endpoint_weight = weights.begin()[one.endpoint];
    return *this;
  }

  void add(std::uint32_t endpoint, double weight = 1) {
    auto const slot = static_cast<std::uint32_t>(all.size());
    all.push_back({.slot = slot,
                   .endpoint = endpoint,
                   .weight = weight,
                   .endpoint_hash = stable_hash("endpoint-" + std::to_string(endpoint)),
                   .in_flight = &load.emplace_back(0)});
  }

  /// Without the slots of one endpoint.
  std::vector<candidate> without(std::uint32_t endpoint) const {
    std::vector<candidate> left = all;
    std::erase_if(left, [&](candidate const& one) { return one.endpoint == endpoint; });
    return left;
  }

  std::vector<candidate> all;
  std::deque<std::uint32_t> load;
};

}  // namespace millrace::balance
