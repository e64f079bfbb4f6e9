// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/least_request.hpp>

#include <millrace/balance/impl/avoid.hpp>
#include <millrace/balance/impl/even.hpp>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace::balance {
namespace {

// by calls in flight / weight. Not of calls + 1: while nothing is in flight the heavier one would get every call
bool less_loaded(candidate const& a, candidate const& b) noexcept {
  return *a.in_flight * b.weight < *b.in_flight * a.weight;
}

}  // namespace

least_request::least_request(std::uint64_t seed, unsigned choice_count) : random_(seed), choice_count_(choice_count) {
  if (choice_count >= fewest_choices && choice_count <= most_choices) return;
  throw std::invalid_argument("least_request.choice_count is " + std::to_string(choice_count) + "; allowed: 2 to 10");
}

void least_request::rebuild(std::span<candidate const> candidates) {
  candidates_.assign(candidates.begin(), candidates.end());
  deck_.resize(candidates_.size());
  std::iota(deck_.begin(), deck_.end(), 0u);
  sums_.clear();
  if (impl::even(candidates)) return;
  double sum = 0;
  for (candidate const& one : candidates_) sums_.push_back(sum += std::max(one.weight, 0.0));
}

std::optional<std::size_t> least_request::pick(pick_info const& info) noexcept {
  return impl::pick_avoiding(candidates_, info, [this] { return sums_.empty() ? choose() : choose_by_weight(); });
}

std::size_t least_request::choose() noexcept {
  std::size_t const count = std::min<std::size_t>(choice_count_, deck_.size());
  std::size_t best = draw(0);
  for (std::size_t drawn = 1; drawn < count; ++drawn) {
    std::size_t const other = draw(drawn);
    if (less_loaded(candidates_[other], candidates_[best])) best = other;
  }
  return best;
}

// one that is not among the first `drawn` of the deck (Fisher and Yates)
std::size_t least_request::draw(std::size_t drawn) noexcept {
  auto const rest = static_cast<std::uint32_t>(deck_.size() - drawn);
  std::swap(deck_[drawn], deck_[drawn + random_.below(rest)]);
  return deck_[drawn];
}

std::size_t least_request::choose_by_weight() noexcept {
  std::size_t best = at_weight(random_.uniform() * sums_.back());
  for (unsigned drawn = 1; drawn < choice_count_; ++drawn) {
    std::size_t const other = draw_another(best);
    if (less_loaded(candidates_[other], candidates_[best])) best = other;
  }
  return best;
}

// whose stretch it is, of all weights end to end
std::size_t least_request::at_weight(double weight) const noexcept {
  auto const found = std::ranges::upper_bound(sums_, weight);
  return found != sums_.end() ? static_cast<std::size_t>(found - sums_.begin()) : sums_.size() - 1;
}

// as if that one were cut out. When no weight is left beside it, it may be that one all the same
std::size_t least_request::draw_another(std::size_t than) noexcept {
  double const start = than == 0 ? 0 : sums_[than - 1];
  double const length = sums_[than] - start;
  double const weight = random_.uniform() * (sums_.back() - length);
  return at_weight(weight < start ? weight : weight + length);
}

}  // namespace millrace::balance
