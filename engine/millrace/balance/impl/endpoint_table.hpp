// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/endpoint_groups.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance::impl {

/// A table of endpoints and the way through it, which the hashing policies share: from the place that a key hashes to onwards, to
/// the first endpoint that has room under the load bound and is not to be avoided. The policy fills the table.
class endpoint_table {
 public:
  /// `load_bound` as the policies' parameter; std::invalid_argument names it with `policy` when it is not allowed.
  endpoint_table(std::string_view policy, double load_bound);

  /// True when the table has to be filled anew.
  bool rebuild(std::span<candidate const> candidates) { return groups_.rebuild(candidates); }

  endpoint_groups const& groups() const noexcept { return groups_; }

  /// Groups, to be filled; not empty while there are endpoints.
  std::vector<std::uint32_t> owners;

  /// A candidate, from `owners[place]` on. There is at least one.
  std::size_t pick_from(std::size_t place, pick_info const& info) const noexcept;

 private:
  std::size_t walk(std::size_t place, pick_info const& info) const noexcept;
  bool has_room(std::size_t group, pick_info const& info) const noexcept;

  endpoint_groups groups_;
  double load_bound_;
};

}  // namespace millrace::balance::impl
