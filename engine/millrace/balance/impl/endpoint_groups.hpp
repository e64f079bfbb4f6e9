// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace millrace::balance::impl {

/// Candidates by endpoint, for policies that choose an endpoint first and then the least loaded of its slots. Endpoints are
/// numbered from 0 in the order of their numbers in the pool: those are *groups* here.
class endpoint_groups {
 public:
  /// True when there are other endpoints than before, or of other `endpoint_weight`; slots of the same ones may come and go.
  bool rebuild(std::span<candidate const> candidates);

  std::size_t size() const noexcept { return groups_.size(); }
  std::uint32_t endpoint(std::size_t group) const noexcept { return groups_[group].endpoint; }
  std::uint64_t hash(std::size_t group) const noexcept { return groups_[group].hash; }
  std::uint32_t weight(std::size_t group) const noexcept { return groups_[group].weight; }
  /// Of all groups together.
  std::uint64_t total_weight() const noexcept { return total_weight_; }

  /// The group of an endpoint; none when it has no candidate.
  std::optional<std::size_t> find(std::uint32_t endpoint) const noexcept;

  /// Calls on the slots of an endpoint. Both look at each slot of the endpoint.
  std::uint64_t in_flight(std::size_t group) const noexcept;
  /// The candidate with the fewest calls, the first of equals.
  std::size_t least_loaded(std::size_t group) const noexcept;

  std::span<candidate const> candidates() const noexcept { return candidates_; }

 private:
  struct group {
    std::uint32_t endpoint;
    std::uint32_t weight;
    std::uint64_t hash;
    std::size_t first;   // in members_
    std::uint32_t size;  // of them, from `first` on
  };

  std::span<std::uint32_t const> members(std::size_t group) const noexcept {
    return std::span(members_).subspan(groups_[group].first, groups_[group].size);
  }

  std::vector<candidate> candidates_;
  std::vector<std::uint32_t> members_;  // indices of candidates, those of one endpoint side by side
  std::vector<group> groups_;
  std::uint64_t total_weight_ = 0;
};

}  // namespace millrace::balance::impl
