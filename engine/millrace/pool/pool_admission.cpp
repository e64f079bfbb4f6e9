// SPDX-License-Identifier: Apache-2.0
// A call's way in: the pick, the queue, the refusal.
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// why no call was admitted, in the order of the endpoints; a long list is cut
constexpr std::size_t most_reasons = 10;

}  // namespace

// at the next pick, or when the pool keeps house: a thousand endpoints that connect in a turn are one rebuild
void pool::rebuild_soon() noexcept {
  to_rebuild_ = true;
  may_grow_ = true;
  to_publish_ = true;
  keep_house_soon();
}

void pool::rebuild() {
  if (!std::exchange(to_rebuild_, false)) return;
  bool const panicked = selection_.panicking();
  std::uint32_t const priority = selection_.priority();
  time_point const turns_again = take_turns();
  time_point const again = std::min(turns_again, selection_.rebuild(loop_.now(), roster_, slots_));
  loop_.disarm(reselect_);
  if (again != never) loop_.arm(reselect_, again);
  if (params_.observer == nullptr) return;
  if (selection_.panicking() != panicked) {
    params_.observer->on(events::panic_changed{.at = loop_.now(),
                                               .panicking = selection_.panicking(),
                                               .usable = selection_.usable(),
                                               .endpoints = selection_.connected()});
  }
  if (selection_.priority() != priority) {
    params_.observer->on(events::priority_changed{.at = loop_.now(), .from = priority, .to = selection_.priority()});
  }
}

pool::acquired pool::acquire(waiter& one, error_code& error) {
  open();
  one.since_ = loop_.now();
  if (phase_ != phase::open) {
    error = why_closed();
  } else if (waiters_.empty() && try_take(one)) {
    return acquired::now;
  } else if (grow(waiters_.size() + 1); !one.wait_for_ready && hopeless()) {
    error = errc::no_endpoint_ready;
  } else if (waiters_.size() >= params_.max_waiting) {
    error = errc::queue_full;
  } else {
    waiters_.push_back(one);
    heed_outside_calls();
    return acquired::later;
  }
  tell_refused(static_cast<errc>(error.value()), duration::zero());
  return acquired::never;
}

bool pool::try_acquire(waiter& one) {
  one.since_ = loop_.now();
  return phase_ == phase::open && !drain_chore_.pending() && waiters_.empty() && try_take(one);
}

bool pool::try_take(waiter& one) {
  if (!admits()) return false;
  rebuild();
  auto const picked = selection_.pick({.now = loop_.now(),
                                       .avoid_slot = one.avoid_slot,
                                       .avoid_endpoint = one.avoid_endpoint,
                                       .hash = one.hash,
                                       .in_flight = in_flight_});
  if (!picked) return false;
  slot* const chosen = with_room(*picked);
  if (chosen == nullptr) return false;
  chosen->take(*one.into_);
  ++in_flight_;
  roster_entry& at = roster_[chosen->endpoint_number()];
  at.peak = std::max(at.peak, ++at.in_flight);
  if (at.health != nullptr) at.health->on_picked();
  if (scaling_.crowded(at.in_flight, at.slots.ready()) && may_open_beside(at)) scale(waiters_.size());
  if (params_.observer != nullptr) {
    params_.observer->on(events::picked{.at = loop_.now(),
                                        .endpoint = chosen->endpoint(),
                                        .slot = chosen->number(),
                                        .in_flight = chosen->in_flight(),
                                        .waited = loop_.now() - one.since_});
  }
  return true;
}

bool pool::admits() const noexcept {
  std::uint32_t const calls = in_flight_ + outside_in_flight();
  return (params_.max_in_flight == 0 || calls < params_.max_in_flight) && (!limit_ || calls < limit_->limit());
}

// policies do not know of room: from a full slot go on to the next one that has some
slot* pool::with_room(std::size_t picked) noexcept {
  auto const chosen = selection_.chosen();
  for (std::size_t step = 0; step < chosen.size(); ++step) {
    slot* const one = chosen[(picked + step) % chosen.size()];
    if (one->load() >= params_.max_calls_per_slot) continue;
    auto const& health = roster_[one->endpoint_number()].health;
    if (health == nullptr || selection_.panicking() || health->has_room()) return one;
  }
  return nullptr;
}

// asked at each call of a crowded endpoint, so it spares the look that would find nothing to do
bool pool::may_open_beside(roster_entry const& at) const noexcept {
  return at.slots.open() == at.slots.ready() && census_.connections() + census_.in(slot_state::draining) < bounds().max;
}

// no slot is connected or about to be, nor will calls soon go to another priority
bool pool::hopeless() {
  rebuild();
  bool const hope = selection_.about_to_fail_over() || census_.dialing() > 0 || asking();
  if (!selection_.chosen().empty() || hope) return false;
  if (roster_.empty()) return resolved_ || !resolve_failure_.empty();
  return census_.open() > 0;
}

// an endpoint is connected, and was asked whether it serves
bool pool::asking() const noexcept {
  return health_.check && std::ranges::any_of(roster_.wanted(), [](roster_entry const* one) {
           return one->slots.ready() > 0 && one->health->pending();
         });
}

std::string pool::why_not_ready() {
  rebuild();
  if (!selection_.chosen().empty()) return {};
  std::string text = "no endpoint is ready";
  if (roster_.empty()) {
    return text.append(": ").append(!resolve_failure_.empty() ? resolve_failure_
                                    : resolved_               ? "there are none"
                                                              : "they are not known yet");
  }
  std::size_t told = 0;
  for (roster_entry const* const at : roster_.wanted()) {
    if (told++ == most_reasons) {
      return text.append("; and ").append(std::to_string(roster_.wanted().size() - most_reasons)).append(" more");
    }
    auto const one = std::ranges::find_if(slots_, [&](auto const& each) {
      return each != nullptr && each->endpoint_number() == at->number && !each->last_failure().empty();
    });
    text.append("; ").append(at->address).append(": ");
    if (at->slots.ready() > 0)
      text.append(at->why_unused());
    else
      text.append(one != slots_.end() ? (*one)->last_failure() : std::string("not connected yet"));
  }
  return text;
}

void pool::serve_waiters() {
  while (waiter* const one = waiters_.front()) {
    if (!try_take(*one)) return;
    waiters_.remove(*one);
    one->on_served_({});
  }
}

void pool::refuse_the_hopeless() {
  if (waiters_.empty() || !hopeless()) return;
  for (waiter* one = waiters_.front(); one != nullptr;) {
    waiter* const next = waiters_.after(*one);
    if (!one->wait_for_ready) refuse(*one, errc::no_endpoint_ready);
    one = next;
  }
}

void pool::give_up(waiter& one, errc why) {
  if (!one.waiting()) return;
  waiters_.remove(one);
  tell_refused(why, loop_.now() - one.since_);
}

void pool::refuse(waiter& one, errc why) {
  waiters_.remove(one);
  tell_refused(why, loop_.now() - one.since_);
  one.on_served_(why);
}

void pool::refuse_waiters(errc why) {
  while (waiter* const one = waiters_.front()) refuse(*one, why);
}

void pool::tell_refused(errc why, duration waited) {
  if (params_.observer == nullptr) return;
  std::string const text = make_error_code(why).message();
  params_.observer->on(events::pick_failed{.at = loop_.now(), .why = text, .waited = waited});
}

errc pool::why_closed() const noexcept { return loop_.stopping() ? errc::loop_stopping : errc::pool_closed; }

void pool::lease_wait::start(acquire_params wanted) {
  waiter_.wait_for_ready = wanted.wait_for_ready;
  waiter_.hash = wanted.hash_key.hash();
  if (from_.drain_chore_.pending()) {
    from_.tell_refused(from_.why_closed(), duration::zero());
    return on_served(from_.why_closed());
  }
  switch (from_.acquire(waiter_, error_)) {
    case acquired::later: from_.loop_.arm(deadline_, saturating_add(from_.loop_.now(), wanted.timeout)); return;
    case acquired::now:
    case acquired::never: from_.loop_.schedule(*this); return;
  }
}

void pool::lease_wait::end(errc why) {
  if (!waiter_.waiting()) return;
  from_.give_up(waiter_, why);
  on_served(why);
}

void pool::lease_wait::on_served(error_code error) {
  error_ = error;
  from_.loop_.disarm(deadline_);
  from_.loop_.schedule(*this);
}

}  // namespace millrace
