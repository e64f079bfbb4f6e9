// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/dial_order.hpp>

#include <millrace/balance/impl/refuse.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::balance {

void validate(dial_order_params const& params, std::string_view field_prefix) {
  if (params.attempt_delay < std::chrono::milliseconds(10)) {
    impl::refuse(field_prefix, "attempt_delay", std::to_string(params.attempt_delay.count()) + " ns", "10 ms or more");
  }
}

time_point dial_order::step(time_point now, std::span<dial_candidate const> in_order) {
  searching_ = false;
  forget_others_than(in_order);
  if (choose(in_order)) return never;
  if (auto const lost = std::exchange(chosen_, std::nullopt)) start_over(now, in_order, *lost);
  return dial_next(now, in_order);
}

void dial_order::forget_others_than(std::span<dial_candidate const> in_order) {
  std::set<std::uint32_t> known;
  for (dial_candidate const& one : in_order) {
    if (dialed_.contains(one.endpoint)) known.insert(one.endpoint);
  }
  dialed_ = std::move(known);
}

// stays with the one that it has
bool dial_order::choose(std::span<dial_candidate const> in_order) {
  dial_candidate const* best = nullptr;
  for (dial_candidate const& one : in_order) {
    if (one.outcome == dial_outcome::usable && (best == nullptr || one.endpoint == chosen_)) best = &one;
  }
  if (best == nullptr) return false;
  chosen_ = best->endpoint;
  dialed_ = {best->endpoint};
  return true;
}

// what is known of it already need not be found out again; an answer that it owes is waited for as that to a dial
void dial_order::start_over(time_point now, std::span<dial_candidate const> in_order, std::uint32_t without) {
  dialed_.clear();
  next_at_ = saturating_add(now, params_.attempt_delay);
  auto const lost = std::ranges::find(in_order, without, &dial_candidate::endpoint);
  if (lost != in_order.end() && lost->outcome != dial_outcome::none) dialed_.insert(without);
}

time_point dial_order::dial_next(time_point now, std::span<dial_candidate const> in_order) {
  auto const is_dialed = [this](dial_candidate const& one) { return dialed_.contains(one.endpoint); };
  bool waits = std::ranges::any_of(in_order, [&](dial_candidate const& one) {
    return is_dialed(one) && (one.outcome == dial_outcome::none || one.outcome == dial_outcome::asked);
  });
  auto next = std::ranges::find_if_not(in_order, is_dialed);
  if (next != in_order.end() && (!waits || now >= next_at_)) {
    dialed_.insert(next->endpoint);
    next_at_ = saturating_add(now, params_.attempt_delay);
    waits = true;
    next = std::ranges::find_if_not(in_order, is_dialed);
  }
  searching_ = waits && (next != in_order.end() || now < next_at_);
  return searching_ ? next_at_ : never;
}

}  // namespace millrace::balance
