// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/endpoint.hpp>

#include <millrace/resolve/impl/address.hpp>

#include <algorithm>
#include <stdexcept>

namespace millrace {
namespace {

constexpr std::uint32_t max_weight = 1'000'000;

void check(endpoint const& one, std::string_view where) {
  using resolve::impl::fault_of, resolve::impl::refuse_address;
  if (std::string_view const fault = fault_of(one.address); !fault.empty()) refuse_address(where, one.address, fault);
  if (one.weight == 0 || one.weight > max_weight) {
    throw std::invalid_argument(std::string(where) + ": endpoint \"" + one.address + "\" has weight " +
                                std::to_string(one.weight) + "; allowed are 1 to " + std::to_string(max_weight));
  }
}

}  // namespace

void validate(endpoint_set const& set, std::string_view where) {
  std::vector<std::string_view> addresses;
  addresses.reserve(set.size());
  for (endpoint const& one : set) {
    check(one, where);
    addresses.push_back(one.address);
  }
  std::sort(addresses.begin(), addresses.end());
  auto const twice = std::adjacent_find(addresses.begin(), addresses.end());
  if (twice != addresses.end()) resolve::impl::refuse_address(where, *twice, "is listed twice");
}

}  // namespace millrace
