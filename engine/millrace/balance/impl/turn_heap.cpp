// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/impl/turn_heap.hpp>

#include <algorithm>
#include <utility>

namespace millrace::balance::impl {
namespace {

bool before(turn_heap::turn const& a, turn_heap::turn const& b) noexcept {
  return a.due < b.due || (a.due == b.due && a.of < b.of);
}

}  // namespace

void turn_heap::assign(std::vector<turn> turns) {
  turns_ = std::move(turns);
  now_ = 0;
  std::ranges::make_heap(turns_, [](turn const& a, turn const& b) { return before(b, a); });
}

// puts the first where its next turn belongs: half the work of taking it out and putting it in again
std::uint32_t turn_heap::take() noexcept {
  turn first = turns_.front();
  now_ = first.due;
  first.due += first.period;
  std::size_t at = 0;
  for (std::size_t child = 1; child < turns_.size(); child = 2 * at + 1) {
    if (child + 1 < turns_.size() && before(turns_[child + 1], turns_[child])) ++child;
    if (before(first, turns_[child])) break;
    turns_[at] = turns_[child];
    at = child;
  }
  turns_[at] = first;
  return first.of;
}

}  // namespace millrace::balance::impl
