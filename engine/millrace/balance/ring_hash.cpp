// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/ring_hash.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace::balance {
namespace {

constexpr std::size_t largest_ring = 8u << 20u;  // A42's

void require(std::size_t value, std::size_t least, std::size_t most, char const* field) {
  if (value >= least && value <= most) return;
  throw std::invalid_argument("ring_hash_params." + std::string(field) + " is " + std::to_string(value) +
                              "; allowed: " + std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

ring_hash::ring_hash(std::uint64_t seed, ring_hash_params params)
    : table_(name, params.load_bound), random_(seed), params_(params) {
  require(params.max_ring_size, 1, largest_ring, "max_ring_size");
  require(params.min_ring_size, 1, params.max_ring_size, "min_ring_size");
}

void ring_hash::rebuild(std::span<candidate const> candidates) {
  std::uint64_t const known = std::exchange(pool_weight_, candidates.empty() ? 0 : candidates.front().pool_weight);
  if (!table_.rebuild(candidates) && known == pool_weight_) return;
  impl::endpoint_groups const& groups = table_.groups();
  std::vector<std::pair<std::uint64_t, std::uint32_t>> ring;
  for (std::uint32_t group = 0; group < groups.size(); ++group) {
    rng points{groups.hash(group)};
    for (std::size_t left = points_of(group); left > 0; --left) ring.emplace_back(points.next(), group);
  }
  std::ranges::sort(ring);
  points_.clear();
  table_.owners.clear();
  for (auto const& [point, group] : ring) {
    points_.push_back(point);
    table_.owners.push_back(group);
  }
}

std::optional<std::size_t> ring_hash::pick(pick_info const& info) noexcept {
  if (points_.empty()) return std::nullopt;
  std::uint64_t const hash = info.hash ? *info.hash : random_.next();
  auto const next = std::ranges::lower_bound(points_, hash);
  return table_.pick_from(next != points_.end() ? static_cast<std::size_t>(next - points_.begin()) : 0, info);
}

std::size_t ring_hash::points_of(std::size_t group) const noexcept {
  auto const all = std::max<std::size_t>({1, params_.endpoints, pool_weight_, table_.groups().total_weight()});
  std::size_t const weight = table_.groups().weight(group);
  std::size_t const least = (params_.min_ring_size * weight + all - 1) / all;
  return std::max<std::size_t>(1, std::min(least, params_.max_ring_size * weight / all));
}

}  // namespace millrace::balance
