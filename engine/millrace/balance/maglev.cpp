// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/maglev.hpp>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::balance {
namespace {

constexpr std::size_t largest_table = 5'000'011;  // Envoy's
constexpr std::uint32_t free_entry = nobody;

bool is_prime(std::size_t value) noexcept {
  if (value < 2) return false;
  for (std::size_t by = 2; by * by <= value; ++by) {
    if (value % by == 0) return false;
  }
  return true;
}

// an endpoint's own order of the entries: a step that is prime to the size visits them all
struct order {
  std::uint32_t at;
  std::uint32_t step;

  void go_on(std::uint32_t size) noexcept { at = at >= size - step ? at - (size - step) : at + step; }
};

order order_of(std::uint64_t hash, std::uint32_t size) noexcept {
  rng draws{hash};
  return {.at = draws.below(size), .step = 1 + draws.below(size - 1)};
}

}  // namespace

maglev::maglev(std::uint64_t seed, maglev_params params)
    : table_(name, params.load_bound), random_(seed), size_(static_cast<std::uint32_t>(params.table_size)) {
  if (params.table_size <= largest_table && is_prime(params.table_size)) return;
  throw std::invalid_argument("maglev_params.table_size is " + std::to_string(params.table_size) +
                              "; allowed: a prime, 2 to " + std::to_string(largest_table));
}

void maglev::rebuild(std::span<candidate const> candidates) {
  if (table_.rebuild(candidates)) fill();
}

void maglev::fill() {
  impl::endpoint_groups const& groups = table_.groups();
  std::vector<std::uint32_t>& owners = table_.owners;
  if (groups.size() == 0) return owners.clear();
  owners.assign(size_, free_entry);
  std::vector<order> orders;
  for (std::size_t group = 0; group < groups.size(); ++group) orders.push_back(order_of(groups.hash(group), size_));
  // turns go by hash, so that they are the same whatever the order in which a client lists the endpoints
  std::vector<std::uint32_t> turns(groups.size());
  std::iota(turns.begin(), turns.end(), 0u);
  std::ranges::sort(turns, {}, [&](std::uint32_t group) { return groups.hash(group); });
  for (std::uint32_t filled = 0; filled < size_; ++filled) {
    std::uint32_t const group = turns[filled % turns.size()];
    order& own = orders[group];
    while (owners[own.at] != free_entry) own.go_on(size_);
    owners[own.at] = group;
  }
}

std::optional<std::size_t> maglev::pick(pick_info const& info) noexcept {
  if (table_.owners.empty()) return std::nullopt;
  std::uint64_t const hash = info.hash ? *info.hash : random_.next();
  return table_.pick_from(hash % size_, info);
}

}  // namespace millrace::balance
