// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/least_request.hpp>

#include <millrace/balance/impl/avoid.hpp>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace::balance {
namespace {

// (in flight + 1) / weight, without dividing; a weight of 0 is the heaviest load
bool less_loaded(candidate const& a, candidate const& b) noexcept {
  auto const load = [](candidate const& one, candidate const& other) {
    return (std::uint64_t{*one.in_flight} + 1) * other.weight;
  };
  return load(a, b) < load(b, a);
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
}

std::optional<std::size_t> least_request::pick(pick_info const& info) noexcept {
  return impl::pick_avoiding(candidates_, info, [this] { return choose(); });
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

}  // namespace millrace::balance
