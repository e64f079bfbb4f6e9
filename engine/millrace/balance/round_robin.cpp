// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/round_robin.hpp>

#include <millrace/balance/impl/avoid.hpp>
#include <millrace/balance/impl/even.hpp>
#include <millrace/base/rng.hpp>

#include <limits>

namespace millrace::balance {
namespace {

// multiples of it, without their whole part, are spread evenly, however many there are (Weyl)
constexpr double golden_ratio = 0.6180339887498949;
constexpr double unknown = std::numeric_limits<double>::infinity();

double wait_of(candidate const& one, std::span<double const> waits) noexcept {
  return one.slot < waits.size() ? waits[one.slot] : unknown;
}

}  // namespace

round_robin::round_robin(std::uint32_t offset) noexcept : next_(offset), last_wait_(rng{offset}.uniform()) {}

void round_robin::rebuild(std::span<candidate const> candidates) {
  std::vector<double> const waits = waits_by_slot();
  next_ = turn_in(candidates, waits);
  turns_.assign(impl::even(candidates) ? std::vector<turn>{} : turns_of(candidates, waits));
  candidates_.assign(candidates.begin(), candidates.end());
}

std::optional<std::size_t> round_robin::pick(pick_info const& info) noexcept {
  return impl::pick_avoiding(candidates_, info, [this] { return take_turn(); });
}

std::size_t round_robin::take_turn() noexcept {
  if (!turns_.empty()) return turns_.take();
  std::size_t const turn = next_;
  next_ = turn + 1 < candidates_.size() ? turn + 1 : 0;
  return turn;
}

// who has the least to wait of those that were there before
std::size_t round_robin::turn_in(std::span<candidate const> candidates, std::span<double const> waits) const noexcept {
  if (candidates.empty()) return next_;
  std::size_t first = 0;
  for (std::size_t at = 1; at < candidates.size(); ++at) {
    if (wait_of(candidates[at], waits) < wait_of(candidates[first], waits)) first = at;
  }
  return wait_of(candidates[first], waits) != unknown ? first : next_ % candidates.size();
}

std::vector<round_robin::turn> round_robin::turns_of(std::span<candidate const> candidates,
                                                     std::span<double const> waits) {
  std::vector<turn> turns;
  for (std::size_t step = 0; step < candidates.size(); ++step) {
    std::size_t const at = (next_ + step) % candidates.size();
    candidate const& one = candidates[at];
    if (!(one.weight > 0)) continue;
    double wait = wait_of(one, waits);
    if (wait == unknown) wait = newcomers_wait();
    turns.push_back({.due = wait / one.weight, .of = static_cast<std::uint32_t>(at), .period = 1 / one.weight});
  }
  return turns;
}

// until each slot's turn, in parts of the time from one turn of its own to the next
std::vector<double> round_robin::waits_by_slot() const {
  std::vector<double> waits;
  auto const note = [&](std::size_t at, double wait) {
    std::uint32_t const slot = candidates_[at].slot;
    if (slot >= waits.size()) waits.resize(slot + 1, unknown);
    waits[slot] = wait;
  };
  for (turn const& one : turns_.turns()) note(one.of, (one.due - turns_.now()) / one.period);
  if (turns_.empty()) {
    std::size_t const count = candidates_.size();
    for (std::size_t step = 0; step < count; ++step) {
      note((next_ + step) % count, static_cast<double>(step + 1) / static_cast<double>(count));
    }
  }
  return waits;
}

// by chance the turns of equals might come in bunches
double round_robin::newcomers_wait() noexcept {
  last_wait_ += golden_ratio;
  if (last_wait_ >= 1) last_wait_ -= 1;
  return last_wait_;
}

}  // namespace millrace::balance
