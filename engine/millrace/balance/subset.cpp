// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/subset.hpp>

#include <millrace/balance/impl/refuse.hpp>
#include <millrace/base/rng.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>

namespace millrace::balance {
namespace {

// where the client's stretch of the ring starts
std::size_t start_of(aperture_params const& params, std::size_t endpoints) noexcept {
  return static_cast<std::size_t>(std::uint64_t{*params.client_index} * endpoints / params.clients);
}

}  // namespace

void validate(aperture_params const& params, std::string_view field_prefix) {
  if (params.client_index && *params.client_index >= params.clients) {
    impl::refuse(field_prefix, "client_index", std::to_string(*params.client_index),
                 "less than clients, " + std::to_string(params.clients));
  }
  if (!params.client_index && params.clients != 0) {
    impl::refuse(field_prefix, "clients", std::to_string(params.clients), "0 without a client_index");
  }
}

std::vector<std::uint32_t> choose_subset(std::span<std::uint64_t const> endpoint_hashes, aperture_params const& params,
                                         std::uint64_t seed) {
  std::vector<std::uint32_t> order(endpoint_hashes.size());
  std::iota(order.begin(), order.end(), 0u);
  if (params.size == 0 || params.size >= order.size()) return order;
  if (params.client_index) {
    std::ranges::stable_sort(order, {}, [&](std::uint32_t at) { return endpoint_hashes[at]; });
    auto const start = static_cast<std::ptrdiff_t>(start_of(params, order.size()));
    std::rotate(order.begin(), order.begin() + start, order.end());
  } else {
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](std::uint32_t at) { return rng{endpoint_hashes[at] ^ seed}.next(); });
  }
  order.resize(params.size);
  std::ranges::sort(order);
  return order;
}

}  // namespace millrace::balance
