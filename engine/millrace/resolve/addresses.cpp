// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/addresses.hpp>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace millrace::resolve {
namespace {

bool is_v6(std::string const& address) noexcept { return address.starts_with('['); }
bool is_v6(endpoint const& one) noexcept { return is_v6(one.address); }

template <class T>
std::vector<T> in_turn(std::vector<T> all) {
  if (all.empty()) return all;
  bool const v6_first = is_v6(all.front());
  auto const second =
      std::stable_partition(all.begin(), all.end(), [&](T const& one) { return is_v6(one) == v6_first; });
  std::vector<T> mixed;
  mixed.reserve(all.size());
  for (auto a = all.begin(), b = second; a != second || b != all.end();) {
    if (a != second) mixed.push_back(std::move(*a++));
    if (b != all.end()) mixed.push_back(std::move(*b++));
  }
  return mixed;
}

std::vector<std::string_view> sorted(std::span<std::string const> addresses) {
  std::vector<std::string_view> all(addresses.begin(), addresses.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

std::vector<std::string> interleaved(std::vector<std::string> addresses) { return in_turn(std::move(addresses)); }

endpoint_set interleaved(endpoint_set set) {
  std::ranges::stable_sort(set, {}, &endpoint::priority);
  endpoint_set all;
  all.reserve(set.size());
  for (auto from = set.begin(); from != set.end();) {
    auto const until =
        std::find_if(from, set.end(), [&](endpoint const& one) { return one.priority != from->priority; });
    endpoint_set level = in_turn(endpoint_set(std::make_move_iterator(from), std::make_move_iterator(until)));
    std::ranges::move(level, std::back_inserter(all));
    from = until;
  }
  return all;
}

bool same_addresses(std::span<std::string const> a, std::span<std::string const> b) {
  return a.size() == b.size() && sorted(a) == sorted(b);
}

}  // namespace millrace::resolve
