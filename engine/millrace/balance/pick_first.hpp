// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/endpoint_groups.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace millrace::balance {

/// All calls to one endpoint, the only one that the pool connects to (gRPC's pick_first): the first that answers in the order of the
/// target or the resolver, with IPv4 and IPv6 addresses in turn, found by Happy Eyeballs (RFC 8305, gRFCs A61 and A62; `dial_order`
/// has the rules). It is kept for as long as it is usable, even when an earlier one is back. Weights do not matter.
///
/// Among the slots of the endpoint the least loaded is taken; a retry or a hedge goes to another slot if there is one. Of several
/// endpoints, as there are in a panic, the one of the lowest number is taken, and kept.
///
/// The cost: one connection for each priority instead of one an endpoint, and nothing is sent elsewhere; when it is lost, calls wait for
/// a dial. A pick looks at the slots of that endpoint.
class pick_first {
 public:
  static constexpr std::string_view name = "pick_first";

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  static constexpr dialing dials() noexcept { return dialing::first; }
  void on_done(done_info const&) noexcept {}

 private:
  impl::endpoint_groups groups_;
  std::size_t group_ = 0;
  std::uint32_t chosen_ = nobody;  // the endpoint, from its first call on
};

}  // namespace millrace::balance
