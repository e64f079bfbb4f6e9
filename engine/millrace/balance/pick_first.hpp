// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/endpoint_groups.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace millrace::balance {

/// All calls to one endpoint: the first that is ready when a call comes, in the order of the endpoints' numbers, which is the target's
/// or the resolver's, with IPv4 and IPv6 addresses in turn, and that one for as long as it is ready, even when an earlier one is back (gRPC's pick_first). Only retries go
/// elsewhere, and what finds all its slots full. Weights do not matter. A pick looks at the slots of that endpoint.
class pick_first {
 public:
  static constexpr std::string_view name = "pick_first";

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  impl::endpoint_groups groups_;
  std::size_t group_ = 0;
  std::uint32_t chosen_ = nobody;  // the endpoint, from its first call on
};

}  // namespace millrace::balance
