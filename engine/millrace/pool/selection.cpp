// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/selection.hpp>

#include <millrace/balance/panic.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

time_point selection::rebuild(time_point now, roster const& endpoints, std::span<std::unique_ptr<slot> const> slots) {
  count_levels(endpoints);
  time_point again = choose_level(now);
  chosen_.clear();
  candidates_.clear();
  auto const before = std::exchange(described_, {});  // which the picker may look at until it has the new ones
  for (auto const& one : slots) {
    if (one == nullptr || one->state() != slot_state::ready) continue;
    roster_entry const& at = endpoints[one->endpoint_number()];
    if (!at.wanted() || at.is->priority != priority_ || !at.connected() || !(panicking_ || at.usable())) continue;
    duration const age = now - at.connected_since;
    if (age < params_.slow_start.window)
      again = std::min(again, saturating_add(now, slow_start_step(params_.slow_start)));
    chosen_.push_back(one.get());
    candidates_.push_back({.slot = one->number(),
                           .endpoint = at.number,
                           .weight = weight_of(at, now),
                           .endpoint_weight = at.is->weight,
                           .endpoint_hash = at.hash,
                           .pool_weight = endpoints.weight(),
                           .in_flight = &one->in_flight(),
                           .attributes = described_.emplace_back(at.is).get()});
  }
  picker_.rebuild(candidates_);
  return again;
}

double selection::weight_of(roster_entry const& at, time_point now) const noexcept {
  return at.is->weight * slow_start_factor(params_.slow_start, now - at.connected_since);
}

void selection::count_levels(roster const& endpoints) {
  levels_.clear();
  for (roster_entry const* const one : endpoints.wanted()) {
    auto at = std::ranges::lower_bound(levels_, one->is->priority, {}, &level::priority);
    if (at == levels_.end() || at->priority != one->is->priority) at = levels_.insert(at, {one->is->priority});
    if (one->connected()) ++at->connected;
    if (one->usable()) ++at->usable;
    if (one->connects()) at->connects = true;
  }
  // what has no connection would get no call in a panic either, so it is no reason for one: the names' other addresses may lead
  // nowhere, or have no slot for want of max_slots. But it may be what is looked for
  for (level& one : levels_) {
    one.panics =
        balance::panics(one.usable, one.connected, params_.panic_threshold) && !endpoints.searching(one.priority);
  }
}

// a level that would have to panic is left for another one, if there is one
time_point selection::choose_level(time_point now) {
  availability_.clear();
  for (level const& one : levels_) {
    bool const usable = one.usable > 0 && !one.panics;
    availability_.push_back({.priority = one.priority, .usable = usable, .connects = !usable && one.connects});
  }
  auto const decided = failover_.step(now, availability_);
  priority_ = decided.priority;
  auto const in_use = std::ranges::find(levels_, priority_, &level::priority);
  connected_ = in_use != levels_.end() ? in_use->connected : 0;
  usable_ = in_use != levels_.end() ? in_use->usable : 0;
  panicking_ = in_use != levels_.end() && in_use->panics;
  return decided.look_again;
}

}  // namespace millrace
