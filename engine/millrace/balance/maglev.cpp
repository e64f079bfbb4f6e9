// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/maglev.hpp>

#include <algorithm>
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

// who fills the table. A round has as many turns as there are endpoints, by weight; what is left of a turn is kept for the next
// round. Everybody has one in the first
struct filler {
  std::uint32_t group;
  order own;
  std::uint64_t gain;  // a round
  std::uint64_t credit;
};

// go by hash, so that turns are the same whatever the order in which a client lists the endpoints
std::vector<filler> fillers_of(impl::endpoint_groups const& groups, std::uint32_t size) {
  std::vector<filler> all;
  for (std::uint32_t group = 0; group < groups.size(); ++group) {
    std::uint64_t const gain = std::uint64_t{groups.weight(group)} * groups.size();
    std::uint64_t const credit = gain < groups.total_weight() ? groups.total_weight() - gain : 0;
    all.push_back({.group = group, .own = order_of(groups.hash(group), size), .gain = gain, .credit = credit});
  }
  std::ranges::sort(all, {}, [&](filler const& one) { return groups.hash(one.group); });
  return all;
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
  std::vector<filler> fillers = fillers_of(groups, size_);
  for (std::uint32_t filled = 0;;) {
    for (filler& one : fillers) {
      for (one.credit += one.gain; one.credit >= groups.total_weight(); one.credit -= groups.total_weight()) {
        while (owners[one.own.at] != free_entry) one.own.go_on(size_);
        owners[one.own.at] = one.group;
        if (++filled == size_) return;
      }
    }
  }
}

std::optional<std::size_t> maglev::pick(pick_info const& info) noexcept {
  if (table_.owners.empty()) return std::nullopt;
  std::uint64_t const hash = info.hash ? *info.hash : random_.next();
  return table_.pick_from(hash % size_, info);
}

}  // namespace millrace::balance
