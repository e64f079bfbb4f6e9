// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/endpoint_table.hpp>
#include <millrace/base/rng.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace millrace::balance {

struct maglev_params {
  /// A prime, 2 to 5 000 011. The paper's least: a hundred times the endpoints keep shares within 1 % of one another. A table costs
  /// four bytes an entry, and the time to fill it at each change of endpoints.
  std::size_t table_size = 65537;
  /// As ring_hash_params::load_bound.
  double load_bound = 1.25;
};

/// A key's calls to one endpoint, by a table that the endpoints fill in turns, each in an order of its own (Eisenbud et al. 2016,
/// "Maglev"; sizes and default as Envoy's). Shares are much more even than `ring_hash`'s, and a pick is cheaper; in exchange a change
/// of endpoints moves a few keys that it need not, a per cent or so. All else is as there: bounded load, keys, weights, several slots.
///
/// A pick is O(1), but for the slots of the endpoints it passes. A rebuild that changes endpoints or their weights fills the table.
class maglev {
 public:
  static constexpr std::string_view name = "maglev";

  /// std::invalid_argument names the field that is wrong.
  explicit maglev(std::uint64_t seed, maglev_params params = {});

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  void fill();

  impl::endpoint_table table_;
  rng random_;
  std::uint32_t size_;
};

}  // namespace millrace::balance
