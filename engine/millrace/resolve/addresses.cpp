// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/addresses.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace millrace::resolve {
namespace {

bool is_v6(std::string const& address) noexcept { return address.starts_with('['); }

std::vector<std::string_view> sorted(std::span<std::string const> addresses) {
  std::vector<std::string_view> all(addresses.begin(), addresses.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

std::vector<std::string> interleaved(std::vector<std::string> addresses) {
  if (addresses.empty()) return addresses;
  bool const v6_first = is_v6(addresses.front());
  auto const second = std::stable_partition(addresses.begin(), addresses.end(),
                                            [&](std::string const& one) { return is_v6(one) == v6_first; });
  std::vector<std::string> mixed;
  mixed.reserve(addresses.size());
  for (auto a = addresses.begin(), b = second; a != second || b != addresses.end();) {
    if (a != second) mixed.push_back(std::move(*a++));
    if (b != addresses.end()) mixed.push_back(std::move(*b++));
  }
  return mixed;
}

bool same_addresses(std::span<std::string const> a, std::span<std::string const> b) {
  return a.size() == b.size() && sorted(a) == sorted(b);
}

}  // namespace millrace::resolve
