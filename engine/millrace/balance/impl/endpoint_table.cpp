// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/impl/endpoint_table.hpp>

#include <millrace/balance/impl/avoid.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace millrace::balance::impl {
namespace {

// with a bound of 1.25 at least a fifth of the endpoints has room, so that 128 places without are as likely as 1 in 10^12
constexpr std::size_t longest_walk = 128;

}  // namespace

endpoint_table::endpoint_table(std::string_view policy, double load_bound) : load_bound_(load_bound) {
  if (load_bound == 0 || (load_bound >= 1 && load_bound <= 1000)) return;
  throw std::invalid_argument(std::string(policy) + "_params.load_bound is " + std::to_string(load_bound) +
                              "; allowed: 1 to 1000, or 0 for none");
}

std::size_t endpoint_table::pick_from(std::size_t place, pick_info const& info) const noexcept {
  std::size_t const chosen = groups_.least_loaded(walk(place, info));
  return most_welcome_from(chosen, groups_.candidates(), info);
}

// the key's own endpoint when there is none better
std::size_t endpoint_table::walk(std::size_t place, pick_info const& info) const noexcept {
  std::size_t const length = groups_.size() == 1 ? 1 : std::min(owners.size(), longest_walk);
  for (std::size_t step = 0, at = place; step < length; ++step) {
    std::size_t const group = owners[at];
    if (groups_.endpoint(group) != info.avoid_endpoint && has_room(group, info)) return group;
    at = at + 1 < owners.size() ? at + 1 : 0;
  }
  return owners[place];
}

// whether one call more keeps it within the bound's multiple of its part of all calls
bool endpoint_table::has_room(std::size_t group, pick_info const& info) const noexcept {
  if (load_bound_ == 0) return true;
  double const calls = static_cast<double>(groups_.in_flight(group)) * static_cast<double>(groups_.total_weight());
  return calls < load_bound_ * (info.in_flight + 1.0) * groups_.weight(group);
}

}  // namespace millrace::balance::impl
