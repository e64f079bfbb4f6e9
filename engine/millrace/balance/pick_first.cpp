// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/pick_first.hpp>

#include <millrace/balance/impl/avoid.hpp>

namespace millrace::balance {

void pick_first::rebuild(std::span<candidate const> candidates) {
  groups_.rebuild(candidates);
  auto const still = groups_.find(chosen_);
  if (!still) chosen_ = nobody;
  group_ = still.value_or(0);
}

std::optional<std::size_t> pick_first::pick(pick_info const& info) noexcept {
  if (groups_.size() == 0) return std::nullopt;
  chosen_ = groups_.endpoint(group_);
  return impl::most_welcome_from(groups_.least_loaded(group_), groups_.candidates(), info);
}

}  // namespace millrace::balance
