// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/round_robin.hpp>

#include <millrace/balance/impl/avoid.hpp>

#include <algorithm>

namespace millrace::balance {

void round_robin::rebuild(std::span<candidate const> candidates) {
  std::size_t const turn = turn_in(candidates);
  candidates_.assign(candidates.begin(), candidates.end());
  next_ = turn;
}

std::optional<std::size_t> round_robin::pick(pick_info const& info) noexcept {
  return impl::pick_avoiding(candidates_, info, [this] { return take_turn(); });
}

std::size_t round_robin::turn_in(std::span<candidate const> candidates) const noexcept {
  for (std::size_t step = 0; step < candidates_.size(); ++step) {
    std::uint32_t const slot = candidates_[(next_ + step) % candidates_.size()].slot;
    auto const found = std::ranges::find(candidates, slot, &candidate::slot);
    if (found != candidates.end()) return static_cast<std::size_t>(found - candidates.begin());
  }
  return candidates.empty() ? next_ : next_ % candidates.size();
}

std::size_t round_robin::take_turn() noexcept {
  std::size_t const turn = next_;
  next_ = turn + 1 < candidates_.size() ? turn + 1 : 0;
  return turn;
}

}  // namespace millrace::balance
