// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/scaling.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <cmath>

namespace millrace {
namespace {

// a slot more that leaves the latency above this part of what it was has not helped
constexpr double helped = 0.9;

// how rare growing for the latency may become when it does not help, in grow_intervals
constexpr int rarest_growth = 64;

// one dial at a time, and none beside a slot that backs off
bool may_grow(endpoint_load const& at) noexcept { return at.open == at.ready && at.open + at.draining < at.max_slots; }

double calls_a_slot(endpoint_load const& at) noexcept { return static_cast<double>(at.in_flight) / at.ready; }

std::uint64_t connections(pool_load const& load) noexcept {
  std::uint64_t count = 0;
  for (endpoint_load const& at : load.endpoints) count += at.dialing + at.ready + at.draining;
  return count;
}

}  // namespace

void validate(scaling_params const& params, std::uint32_t max_calls_per_slot, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (params.grow_at > max_calls_per_slot) {
    refuse(field_prefix, "grow_at", text(params.grow_at), "0 to max_calls_per_slot, " + text(max_calls_per_slot));
  }
  if (params.grow_when_slower != 0 && !(params.grow_when_slower > 1 && std::isfinite(params.grow_when_slower))) {
    refuse(field_prefix, "grow_when_slower", text(params.grow_when_slower), "0, or a finite number above 1");
  }
  auto const more_than_none = [&](duration value, std::string_view field) {
    if (value <= duration::zero()) refuse(field_prefix, field, text(value), "more than 0ms");
  };
  more_than_none(params.grow_interval, "grow_interval");
  more_than_none(params.shrink_interval, "shrink_interval");
  if (params.shrink_after < duration::zero()) {
    refuse(field_prefix, "shrink_after", text(params.shrink_after), "0ms or more");
  }
  if (!(params.shrink_below > 0 && params.shrink_below <= 1)) {
    refuse(field_prefix, "shrink_below", text(params.shrink_below), "more than 0, up to 1");
  }
}

scaling::scaling(scaling_params const& params, std::uint32_t max_calls_per_slot) noexcept
    : params_(params), max_calls_per_slot_(max_calls_per_slot) {}

scaling_decision scaling::look(time_point now, pool_load const& load) {
  remember(now, load);
  scaling_decision decision{.open_on = to_open(now, load), .drain_on = {}, .again = now};
  if (!decision.open_on) decision.drain_on = to_drain(now, load);
  if (!decision.open_on && !decision.drain_on) decision.again = next_look(load);
  return decision;
}

void scaling::remember(time_point now, pool_load const& load) {
  for (history& one : histories_) one.present = false;
  for (endpoint_load const& at : load.endpoints) {
    if (at.endpoint >= histories_.size()) histories_.resize(at.endpoint + 1);
    history& one = histories_[at.endpoint];
    one.present = true;
    one.needed_at.resize(at.open, now);
    one.peak = std::max({one.peak, at.peak, at.in_flight});
    if (at.open <= at.min_slots) one.carries = one.latency_at_growth = 0;
  }
  for (history& one : histories_) {
    if (!one.present) one = {};
  }
}

// ---- growing

std::optional<std::uint32_t> scaling::to_open(time_point now, pool_load const& load) noexcept {
  if (connections(load) >= load.max_slots) return std::nullopt;
  for (endpoint_load const& at : load.endpoints) {
    if (at.open < at.min_slots && at.open + at.draining < at.max_slots) return at.endpoint;
  }
  if (auto const at = for_waiting_calls(load)) return at;
  if (auto const at = most_crowded(load)) return at;
  return slowest(now, load);
}

std::optional<std::uint32_t> scaling::for_waiting_calls(pool_load const& load) const noexcept {
  bool connected = false;
  bool dialing = false;
  std::uint64_t room = 0;  // there and on its way; a dial to where no connection is may fail
  endpoint_load const* best = nullptr;
  for (endpoint_load const& at : load.endpoints) {
    connected = connected || at.ready > 0;
    dialing = dialing || at.dialing > 0;
    if (at.free > 0) return std::nullopt;
    if (at.ready > 0) room += std::uint64_t{at.dialing} * max_calls_per_slot_;
    if (may_grow(at) && (best == nullptr || at.open < best->open)) best = &at;
  }
  if (best == nullptr || load.waiting <= room || (!connected && dialing)) return std::nullopt;
  return best->endpoint;
}

std::optional<std::uint32_t> scaling::most_crowded(pool_load const& load) const noexcept {
  endpoint_load const* best = nullptr;
  for (endpoint_load const& at : load.endpoints) {
    if (at.ready == 0 || !crowded(at.in_flight, at.ready) || !may_grow(at)) continue;
    if (best == nullptr || calls_a_slot(at) > calls_a_slot(*best)) best = &at;
  }
  return best == nullptr ? std::nullopt : std::optional(best->endpoint);
}

std::optional<std::uint32_t> scaling::slowest(time_point now, pool_load const& load) noexcept {
  if (params_.grow_when_slower == 0) return std::nullopt;
  for (endpoint_load const& at : load.endpoints) {
    if (at.ready > 0 && may_grow(at) && grows_for_latency(now, at)) return at.endpoint;
  }
  return std::nullopt;
}

// the slot that was opened last is given grow_interval to show its effect, and the next ones a longer wait each time there is
// none: a server that is slow by itself is not made faster by connections
bool scaling::grows_for_latency(time_point now, endpoint_load const& at) noexcept {
  history& one = histories_[at.endpoint];
  if (now < one.grow_for_latency_at || at.in_flight <= std::uint64_t{load_latency::low} * at.ready) return false;
  if (one.latency.ratio() <= params_.grow_when_slower) return false;
  double const latency = one.latency.under_load();
  if (one.latency_at_growth > 0 && latency > helped * one.latency_at_growth) {
    one.latency_wait = std::min(2 * one.latency_wait, rarest_growth * params_.grow_interval);
    one.grow_for_latency_at = saturating_add(now, one.latency_wait);
    one.latency_at_growth = 0;
    one.carries = 0;
    return false;
  }
  if (one.latency_at_growth > 0 || one.latency_wait == duration::zero()) one.latency_wait = params_.grow_interval;
  one.grow_for_latency_at = saturating_add(now, params_.grow_interval);
  one.latency_at_growth = latency;
  one.carries = calls_a_slot(at);
  return true;
}

// ---- shrinking

std::optional<std::uint32_t> scaling::to_drain(time_point now, pool_load const& load) noexcept {
  for (endpoint_load const& at : load.endpoints) {
    // endpoints came, and its share of the pool's is less
    if (at.open > at.max_slots) return at.endpoint;
    if (now >= histories_[at.endpoint].consider_at && shrinks(now, at, load.waiting > 0)) return at.endpoint;
  }
  return std::nullopt;
}

bool scaling::shrinks(time_point now, endpoint_load const& at, bool calls_wait) noexcept {
  history& one = histories_[at.endpoint];
  std::size_t const needed = calls_wait ? at.open : std::min<std::size_t>(slots_needed(one), at.open);
  std::fill_n(one.needed_at.begin(), needed, now);
  one.peak = at.in_flight;
  one.consider_at = saturating_add(now, params_.shrink_interval);
  return at.open > at.min_slots && needed < at.open &&
         now >= saturating_add(one.needed_at.back(), params_.shrink_after);
}

std::size_t scaling::slots_needed(history const& one) const noexcept {
  double carries = params_.grow_at != 0 ? params_.grow_at : max_calls_per_slot_;
  if (one.carries > 0) carries = std::min(carries, one.carries);
  // 0.8 × 100 may be a little less than 80
  constexpr double rounding = 1e-6;
  return static_cast<std::size_t>(std::ceil(one.peak / (carries * params_.shrink_below) - rounding));
}

time_point scaling::next_look(pool_load const& load) const noexcept {
  time_point next = never;
  if (params_.shrink_after == duration::max()) return next;
  for (endpoint_load const& at : load.endpoints) {
    if (at.open > at.min_slots) next = std::min(next, histories_[at.endpoint].consider_at);
  }
  return next;
}

}  // namespace millrace
