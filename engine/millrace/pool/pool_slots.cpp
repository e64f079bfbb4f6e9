// SPDX-License-Identifier: Apache-2.0
// The pool's slots: how many there are on which endpoint, who dials, and what follows when one changes.
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>

#include <algorithm>
#include <tuple>
#include <utility>

namespace millrace {
namespace {

// also before it was its turn
bool gave_up_dialing(slot_state from, slot_state to) noexcept {
  bool const dialed = from == slot_state::idle || from == slot_state::connecting;
  return dialed && to != slot_state::connecting && to != slot_state::ready;
}

}  // namespace

slot_bounds pool::bounds() const noexcept {
  auto const wanted = static_cast<std::uint32_t>(roster_.wanted().size());
  slot_bounds sizes = slots_for(params_.min_slots, params_.max_slots, wanted);
  // each that is dialed to find the one, beyond max_slots if need be: it is for what is kept
  if (roster_.one_by_one()) sizes = {std::max(sizes.min, wanted), std::max(sizes.max, wanted)};
  return sizes;
}

// the most that somebody waits to see ready
std::uint32_t pool::slots_asked_for() {
  std::uint32_t most = 0;
  ready_waits_.for_each([&](wait& one) { most = std::max(most, static_cast<ready_wait&>(one).min_ready); });
  return most;
}

std::uint32_t pool::kept() {
  // to find the one, one slot will do on each that is dialed
  if (roster_.one_by_one() && !roster_.any_chosen()) return static_cast<std::uint32_t>(roster_.wanted().size());
  return std::max(bounds().min, slots_asked_for());
}

// whose slots are kept first: the order of the set. Where there is not one for each, who could not be reached comes after all
// others, and who was tried last is the last
std::vector<roster_entry*> pool::in_turn() {
  std::vector<roster_entry*> order(roster_.wanted().begin(), roster_.wanted().end());
  if (kept() < order.size()) std::ranges::stable_sort(order, {}, &roster_entry::failed_at);
  return order;
}

// opens what is missing of the slots that are kept, shared out evenly
void pool::fill() {
  if (phase_ != phase::open || roster_.wanted().empty()) return;
  std::uint32_t const keep = kept();
  std::vector<roster_entry*> const order = in_turn();
  for (std::uint32_t opened = 0; opened < keep; ++opened) {
    roster_entry& at = *order[opened % order.size()];
    auto const round = static_cast<std::uint32_t>(opened / order.size());
    if (at.slots.open() > round) continue;
    if (!make_room(round)) return;
    open_slot(at);
  }
  may_grow_ = true;
  keep_house_soon();
}

// false when there are `max_slots` connections and no endpoint has more than one beyond `round`
bool pool::make_room(std::uint32_t round) {
  auto const connections = [](roster_entry* one) { return one->slots.connections(); };
  while (census_.connections() >= bounds().max) {
    roster_entry* const most = *std::ranges::max_element(roster_.wanted(), {}, connections);
    if (connections(most) <= round + 1) return false;
    drain_one_of(*most);
  }
  return true;
}

// besides replacements
bool pool::too_many_connections() {
  std::uint32_t const max = bounds().max;
  if (census_.connections() <= max) return false;
  auto const replaces = [](roster_entry const* one) { return one->rotation->replacement().has_value(); };
  return census_.connections() > max + std::ranges::count_if(roster_.wanted(), replaces);
}

// one that is not even being dialed, else one that is not ready, else the one with the fewest calls
void pool::drain_one_of(roster_entry& at) {
  slot* least = nullptr;
  auto const worth = [](slot const& one) {
    bool const dialed = one.state() == slot_state::connecting;
    return std::tuple(one.state() == slot_state::ready, dialed, one.load());
  };
  for_each_slot(at, [&](slot& each) {
    bool const open = each.state() != slot_state::draining && each.state() != slot_state::closed;
    if (open && (least == nullptr || worth(each) < worth(*least))) least = &each;
  });
  if (least != nullptr) least->drain();
}

slot& pool::open_slot(roster_entry& at) {
  auto const free = std::find(slots_.begin(), slots_.end(), nullptr);
  auto const number = static_cast<std::uint32_t>(free - slots_.begin());
  if (free == slots_.end()) slots_.emplace_back();
  slots_[number] =
      std::make_unique<slot>(loop_, static_cast<slot_host&>(*this), params_.slot, at.address, number, at.number);
  slot& made = *slots_[number];
  auto const before = std::exchange(at.left_off, std::nullopt);
  if (before && loop_.now() < saturating_add(before->redial.at, params_.slot.proven_after))
    made.resume(before->redial, before->why);
  else
    made.open();
  return made;
}

channel* pool::open_channel(slot& one) {
  roster_entry const& at = roster_[one.endpoint_number()];
  channel* const made = channels_->open(*at.is, at.min_keepalive_time);
  one.keepalive_time = made->keepalive_time();
  return made;
}

void pool::request_dial(slot& one) {
  roster_[one.endpoint_number()].dial_queue.push_back(one);
  keep_house_soon();
}

void pool::release_dial(slot& one) noexcept {
  roster_entry& at = roster_[one.endpoint_number()];
  one.unlink();
  if (at.dialing == &one) at.dialing = nullptr;
  keep_house_soon();
}

void pool::grant_dials() {
  if (census_.in(slot_state::idle) == 0) return;
  roster_.for_each([](roster_entry& at) {
    if (at.dialing != nullptr) return;
    if (slot* const next = at.dial_queue.try_pop_front()) {
      at.dialing = next;
      next->grant_dial();
    }
  });
}

void pool::on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) {
  census_.moved(from, to);
  roster_entry& at = roster_[one.endpoint_number()];
  at.slots.moved(from, to);
  may_grow_ = true;
  to_publish_ = true;
  if (to == slot_state::closed) to_sweep_ = true;
  if (to == slot_state::ready) at.failed_at = time_point::min();
  if (to == slot_state::backing_off && at.slots.ready() == 0) at.failed_at = loop_.now();
  // calls wait for it, while they could go elsewhere; or the next one is to be dialed
  if (to == slot_state::backing_off && (selection_.about_to_fail_over() || roster_.one_by_one())) rebuild_soon();
  bool const lost = from == slot_state::ready && (to == slot_state::idle || to == slot_state::backing_off);
  if (from == slot_state::ready || to == slot_state::ready) {
    if (to == slot_state::ready && at.slots.ready() == 1) at.connected_since = loop_.now();
    ask_for_health(at);
    rebuild_soon();
  }
  if (to == slot_state::ready) on_connected(one, at);
  if (from == slot_state::ready) on_disconnected(one, at, spent, to == slot_state::idle);
  if (gave_up_dialing(from, to)) at.rotation->on_gone(one.number());
  // others were connected while it backed off
  if (from == slot_state::backing_off && to == slot_state::idle && too_many_connections()) one.drain();
  if (resolver_ != nullptr && (lost || to == slot_state::backing_off)) resolver_->refresh();
  if (params_.observer != nullptr) {
    params_.observer->on(events::slot_changed{.at = loop_.now(),
                                              .endpoint = one.endpoint(),
                                              .slot = one.number(),
                                              .from = from,
                                              .to = to,
                                              .why = why,
                                              .spent = spent});
  }
  keep_house_soon();
}

void pool::on_connected(slot& one, roster_entry& at) {
  std::optional<responsiveness> responds(std::in_place, params_.responsiveness, loop_.now());
  if (one.number() == at.rotation->replacement()) {
    // an endpoint that is merely slow is dialed less and less often
    if (auto const& before = slots_[at.rotation->replaced()]->responsiveness) responds = before;
    responds->on_replaced(loop_.now());
  }
  one.responsiveness = responds;
  auto const age = age_.replace_after(loop_.random());
  at.rotation->on_ready(one.number(), age ? saturating_add(loop_.now(), *age) : never);
}

void pool::on_disconnected(slot& one, roster_entry& at, duration lifetime, bool by_server) {
  age_.observed_end(loop_.now(), lifetime, by_server && one.proven());
  at.rotation->on_gone(one.number());
}

// a call succeeded there: nobody waits out a backoff for that endpoint. That it accepted a connection would not do: servers
// that accept and drop would be dialed in a circle
void pool::on_slot_proven(slot& one) {
  for_each_slot(roster_[one.endpoint_number()], [&](slot& other) {
    if (&other != &one) other.nudge();
  });
  if (!roster_.one_by_one()) return;
  // the search has found one that is good: the next begins anew
  std::uint32_t const priority = roster_[one.endpoint_number()].is->priority;
  roster_.for_each([&](roster_entry& other) {
    if (other.is->priority == priority) other.left_off.reset();
  });
}

std::uint32_t pool::open_replacement(std::uint32_t endpoint, std::uint32_t of, rotation_reason why) {
  slot const& made = open_slot(roster_[endpoint]);
  if (params_.observer != nullptr) {
    params_.observer->on(events::slot_replaced{
        .at = loop_.now(), .endpoint = made.endpoint(), .slot = of, .by = made.number(), .why = to_string(why)});
  }
  return made.number();
}

// so many calls wait for room: looks again when a slot has changed since, or when many more wait
void pool::grow(std::uint32_t waiting) {
  if (may_grow_ || waiting > 2 * looked_with_) scale(waiting);
}

void pool::scale(std::uint32_t waiting) {
  if (phase_ != phase::open) return;
  for (;;) {
    may_grow_ = false;
    looked_with_ = waiting;
    auto const sizes = loads();
    auto const decision =
        scaling_.look(loop_.now(), {.endpoints = sizes, .max_slots = bounds().max, .waiting = admits() ? waiting : 0});
    loop_.disarm(rescale_);
    if (decision.again != never) loop_.arm(rescale_, decision.again);
    if (decision.open_on) {
      open_slot(roster_[*decision.open_on]);
    } else if (decision.drain_on) {
      drain_one_of(roster_[*decision.drain_on]);
    } else {
      return;
    }
  }
}

std::vector<endpoint_load> pool::loads() {
  if (outside_ != nullptr) count_outside_calls();
  rebuild();
  struct ready_slots {
    std::uint32_t in_flight = 0;
    std::uint32_t free = 0;
  };
  std::vector<ready_slots> ready;  // by the endpoint's number
  for_each_slot([&](slot& one) {
    if (one.state() != slot_state::ready) return;
    if (one.endpoint_number() >= ready.size()) ready.resize(one.endpoint_number() + 1);
    ready_slots& of = ready[one.endpoint_number()];
    of.in_flight += one.load();
    of.free += params_.max_calls_per_slot - std::min(one.load(), params_.max_calls_per_slot);
  });
  std::vector<endpoint_load> made;
  std::vector<roster_entry*> const order = in_turn();
  std::uint32_t const keep = kept();
  std::uint32_t const max = bounds().max;
  made.reserve(order.size());
  for (std::uint32_t at = 0; at < order.size(); ++at) {
    roster_entry& one = *order[at];
    auto const count = static_cast<std::uint32_t>(order.size());
    std::uint32_t const share = keep / count + (at < keep % count ? 1 : 0);
    // a slot that is replaced and the one that takes over count as one
    std::uint32_t const taking_over = one.rotation->replacement() ? 1 : 0;
    // what takes no calls now does not grow
    ready_slots const on = one.number < ready.size() ? ready[one.number] : ready_slots{};
    bool const grows = one.is->priority == selection_.priority() && (one.usable() || one.slots.ready() == 0);
    made.push_back({.endpoint = one.number,
                    .min_slots = share,
                    .max_slots = grows ? max : std::max(share, one.slots.open()),
                    .open = one.slots.open() - taking_over,
                    .dialing = one.slots.dialing() - taking_over,
                    .ready = one.slots.ready(),
                    .draining = one.slots.in(slot_state::draining),
                    .in_flight = on.in_flight,
                    .peak = std::max(std::exchange(one.peak, one.calls()), on.in_flight),
                    .free = on.free});
  }
  return made;
}

}  // namespace millrace
