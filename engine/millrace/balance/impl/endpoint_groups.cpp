// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/impl/endpoint_groups.hpp>

#include <algorithm>
#include <numeric>

namespace millrace::balance::impl {

bool endpoint_groups::rebuild(std::span<candidate const> candidates) {
  candidates_.assign(candidates.begin(), candidates.end());
  members_.resize(candidates_.size());
  std::iota(members_.begin(), members_.end(), 0u);
  std::ranges::stable_sort(members_, {}, [this](std::uint32_t at) { return candidates_[at].endpoint; });

  std::vector<group> before;
  before.swap(groups_);
  total_weight_ = 0;
  for (std::size_t at = 0; at < members_.size(); ++at) {
    candidate const& one = candidates_[members_[at]];
    if (groups_.empty() || groups_.back().endpoint != one.endpoint) {
      groups_.push_back(
          {.endpoint = one.endpoint, .weight = one.endpoint_weight, .hash = one.endpoint_hash, .first = at, .size = 0});
      total_weight_ += one.endpoint_weight;
    }
    ++groups_.back().size;
  }
  return !std::ranges::equal(before, groups_, [](group const& a, group const& b) {
    return a.endpoint == b.endpoint && a.weight == b.weight && a.hash == b.hash;
  });
}

std::optional<std::size_t> endpoint_groups::find(std::uint32_t endpoint) const noexcept {
  auto const found = std::ranges::lower_bound(groups_, endpoint, {}, &group::endpoint);
  if (found == groups_.end() || found->endpoint != endpoint) return std::nullopt;
  return static_cast<std::size_t>(found - groups_.begin());
}

std::uint64_t endpoint_groups::in_flight(std::size_t group) const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t const at : members(group)) sum += *candidates_[at].in_flight;
  return sum;
}

std::size_t endpoint_groups::least_loaded(std::size_t group) const noexcept {
  return *std::ranges::min_element(members(group), {}, [this](std::uint32_t at) { return *candidates_[at].in_flight; });
}

}  // namespace millrace::balance::impl
