// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/failover.hpp>

#include <millrace/balance/impl/refuse.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::balance {

void validate(failover_params const& params, std::string_view field_prefix) {
  auto const check = [&](std::string_view field, duration value) {
    if (value < duration::zero()) {
      impl::refuse(field_prefix, field, std::to_string(value.count()) + " ns", "0 or more");
    }
  };
  check("initial_timeout", params.initial_timeout);
  check("recovery_timeout", params.recovery_timeout);
  check("switching_delay", params.switching_delay);
}

failover_choice failover::step(time_point now, std::span<failover_level const> levels) noexcept {
  note(now, levels);
  if (seen_.empty()) {
    priority_.reset();
    return {};
  }
  choose(now);
  return {.priority = *priority_, .look_again = look_again(now)};
}

void failover::note(time_point now, std::span<failover_level const> levels) {
  std::vector<seen> noted;
  for (failover_level const& one : levels) {
    auto const before = std::ranges::find(seen_, one.priority, [](seen const& it) { return it.level.priority; });
    bool const known = before != seen_.end();
    bool const same = known && before->level.usable == one.usable;
    time_point hoped_until = known ? before->hoped_until : never;
    bool const failed = known && before->level.connects && !one.connects;
    if (one.usable || failed) hoped_until = time_point::min();
    if (one.connects && hoped_until == never) hoped_until = saturating_add(now, params_.initial_timeout);
    noted.push_back({.level = one, .since = same ? before->since : now, .hoped_until = hoped_until});
  }
  seen_ = std::move(noted);
}

void failover::choose(time_point now) noexcept {
  seen const* const used = in_use();
  if (used == nullptr) {
    priority_ = best(now).level.priority;
    return;
  }
  std::span<seen const> const higher(seen_.data(), used);
  auto const up = std::ranges::find_if(
      higher, [&](seen const& one) { return one.level.usable && (!used->level.usable || trusted(one) <= now); });
  if (up != higher.end()) {
    priority_ = up->level.priority;
  } else if (!used->level.usable && given_up(*used) <= now) {
    priority_ = best(now).level.priority;
  }
}

time_point failover::look_again(time_point now) const noexcept {
  seen const* const used = in_use();
  if (!used->level.usable) {
    time_point const end = given_up(*used);
    return &best(std::max(now, end)) == used ? never : end;
  }
  time_point soonest = never;
  for (seen const& higher : std::span(seen_.data(), used)) {
    if (higher.level.usable) soonest = std::min(soonest, trusted(higher));
  }
  return soonest;
}

failover::seen const* failover::in_use() const noexcept {
  auto const found = std::ranges::find_if(seen_, [&](seen const& one) { return one.level.priority == priority_; });
  return found != seen_.end() ? &*found : nullptr;
}

time_point failover::given_up(seen const& one) const noexcept {
  time_point const recovered = saturating_add(one.since, params_.recovery_timeout);
  return one.level.connects ? std::max(recovered, one.hoped_until) : recovered;
}

failover::seen const& failover::best(time_point now) const noexcept {
  auto const found = std::ranges::find_if(
      seen_, [&](seen const& one) { return one.level.usable || (one.level.connects && now < one.hoped_until); });
  return found != seen_.end() ? *found : seen_.front();
}

}  // namespace millrace::balance
