// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/pool/sizing.hpp>

#include <algorithm>

namespace millrace {

/// Something the pool does from the loop, once however often it was asked for, so that nobody who releases a permit or changes
/// a slot runs somebody else's call from inside.
class pool::chore final : public operation {
 public:
  /// `place` is the owner's pointer to this.
  chore(pool& owner, chore*& place, void (pool::*what)()) noexcept
      : operation(&chore::run), loop_(owner.loop_), owner_(&owner), place_(place), what_(what) {}

  void orphan() noexcept { owner_ = nullptr; }

 private:
  static void run(operation& self, completion how) {
    auto& one = static_cast<chore&>(self);
    pool* const owner = one.owner_;
    auto const what = one.what_;
    if (owner != nullptr) one.place_ = nullptr;
    one.loop_.deallocate(&one, sizeof(chore));
    if (owner != nullptr && how != completion::abandoned) (owner->*what)();
  }

  loop& loop_;
  pool* owner_;
  chore*& place_;
  void (pool::*what_)();
};

namespace {

balance::any_picker picker_of(pool_params const& params, rng& random) {
  if (params.make_picker) return params.make_picker();
  return balance::make_picker(params.balance, random.next(), parse_target(params.target).size());
}

}  // namespace

pool::pool(loop& on, pool_params params, std::unique_ptr<channel_factory> channels)
    : loop_(on),
      params_(validated(std::move(params))),
      channels_(std::move(channels)),
      picker_(picker_of(params_, on.random())),
      budget_(params_.budget) {
  std::vector<std::string> const names = parse_target(params_.target);
  endpoints_ = std::vector<endpoint>(names.size());
  for (std::size_t at = 0; at < names.size(); ++at) {
    endpoints_[at].name = names[at];
    endpoints_[at].hash = stable_hash(names[at]);
  }
  for (std::uint32_t number = 0; number < params_.max_slots; ++number) {
    auto const at = static_cast<std::uint32_t>(number % names.size());
    slots_.push_back(
        std::make_unique<slot>(loop_, static_cast<slot_host&>(*this), params_.slot, endpoints_[at].name, number, at));
  }
  vacant_ = params_.max_slots;
  ready_.reserve(slots_.size());
  loop_.add(*this);
}

pool::~pool() {
  on_stop();
  for (chore* const one : {house_chore_, drain_chore_}) {
    if (one != nullptr) one->orphan();
  }
}

// ---- slots

void pool::open() {
  if (phase_ != phase::fresh) return;
  phase_ = phase::open;
  open_slots(params_.min_slots);
}

void pool::open_slots(std::uint32_t count) {
  for (std::uint32_t at = 0; at < count; ++at) slots_[at]->open();
}

void pool::request_dial(slot& one) {
  endpoints_[one.endpoint_number()].queue.push_back(one);
  keep_house_soon();
}

void pool::release_dial(slot& one) noexcept {
  endpoint& at = endpoints_[one.endpoint_number()];
  one.unlink();
  if (at.dialing == &one) at.dialing = nullptr;
  keep_house_soon();
}

void pool::grant_dials() {
  for (endpoint& at : endpoints_) {
    if (at.dialing != nullptr) continue;
    if (slot* const next = at.queue.try_pop_front()) {
      at.dialing = next;
      next->grant_dial();
    }
  }
}

channel* pool::open_channel(slot& one) { return channels_->open(one.endpoint()); }

void pool::on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) {
  if (from == slot_state::vacant) --vacant_;
  if (from == slot_state::ready || to == slot_state::ready) rebuild();
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

// a call succeeded there: nobody waits out a backoff for that endpoint. That it accepted a connection would not do: servers
// that accept and drop would be dialed in a circle
void pool::on_slot_proven(slot& one) {
  for (auto const& other : slots_) {
    if (other.get() != &one && other->endpoint_number() == one.endpoint_number()) other->nudge();
  }
}

void pool::rebuild() {
  std::vector<balance::candidate> candidates;
  candidates.reserve(slots_.size());
  ready_.clear();
  for (auto const& one : slots_) {
    if (one->state() != slot_state::ready) continue;
    ready_.push_back(one.get());
    candidates.push_back({.slot = one->number(),
                          .endpoint = one->endpoint_number(),
                          .endpoint_hash = endpoints_[one->endpoint_number()].hash,
                          .in_flight = &one->in_flight()});
  }
  picker_.rebuild(candidates);
}

void pool::reset_backoff() {
  for (auto const& one : slots_) one->nudge();
}

// ---- picking

pool::acquired pool::acquire(waiter& one, error_code& error) {
  open();
  one.since_ = loop_.now();
  if (phase_ != phase::open) {
    error = why_closed();
  } else if (waiters_.empty() && try_take(one)) {
    return acquired::now;
  } else if (grow(); !one.wait_for_ready && hopeless()) {
    error = errc::no_endpoint_ready;
  } else if (waiting_ >= params_.max_waiting) {
    error = errc::queue_full;
  } else {
    waiters_.push_back(one);
    ++waiting_;
    return acquired::later;
  }
  tell_refused(static_cast<errc>(error.value()), duration::zero());
  return acquired::never;
}

void pool::withdraw(waiter& one) noexcept {
  if (!one.waiting()) return;
  static_cast<millrace::list_base<waiter_tag>&>(one).unlink();
  --waiting_;
}

bool pool::try_take(waiter& one) {
  auto const picked = picker_.pick({.now = loop_.now(),
                                    .avoid_slot = one.avoid_slot,
                                    .avoid_endpoint = one.avoid_endpoint,
                                    .hash = one.hash,
                                    .in_flight = in_flight_});
  if (!picked) return false;
  slot* const chosen = with_room(*picked);
  if (chosen == nullptr) return false;
  chosen->take(one.into_);
  ++in_flight_;
  if (params_.observer != nullptr) {
    params_.observer->on(events::picked{.at = loop_.now(),
                                        .endpoint = chosen->endpoint(),
                                        .slot = chosen->number(),
                                        .in_flight = chosen->in_flight(),
                                        .waited = loop_.now() - one.since_});
  }
  return true;
}

// policies do not know of room: from a full slot go on to the next one that has some
slot* pool::with_room(std::size_t picked) noexcept {
  for (std::size_t step = 0; step < ready_.size(); ++step) {
    slot* const one = ready_[(picked + step) % ready_.size()];
    if (one->in_flight() < params_.max_calls_per_slot) return one;
  }
  return nullptr;
}

void pool::on_permit_released(slot& one, status_code outcome, duration held) noexcept {
  --in_flight_;
  picker_.on_done({.now = loop_.now(), .slot = one.number(), .code = outcome, .latency = held});
  if (waiting_ > 0 || phase_ != phase::open) keep_house_soon();
}

// no slot is connected or about to be
bool pool::hopeless() const noexcept {
  bool open = false;
  for (auto const& one : slots_) {
    switch (one->state()) {
      case slot_state::ready:
      case slot_state::idle:
      case slot_state::connecting: return false;
      case slot_state::backing_off: open = true; break;
      case slot_state::vacant:
      case slot_state::draining:
      case slot_state::closed: break;
    }
  }
  return open;
}

std::string pool::why_not_ready() const {
  if (!ready_.empty()) return {};
  std::string text = "no endpoint is ready";
  for (endpoint const& at : endpoints_) {
    auto const one = std::find_if(slots_.begin(), slots_.end(), [&](auto const& each) {
      return &at == &endpoints_[each->endpoint_number()] && !each->last_failure().empty();
    });
    text.append("; ").append(at.name).append(": ");
    text.append(one != slots_.end() ? (*one)->last_failure() : std::string("not connected yet"));
  }
  return text;
}

void pool::refuse(waiter& one, errc why) {
  withdraw(one);
  tell_refused(why, loop_.now() - one.since_);
  one.on_served_(why);
}

void pool::give_up(waiter& one, errc why) {
  if (!one.waiting()) return;
  withdraw(one);
  tell_refused(why, loop_.now() - one.since_);
}

errc pool::why_closed() const noexcept { return loop_.stopping() ? errc::loop_stopping : errc::pool_closed; }

void pool::tell_refused(errc why, duration waited) {
  if (params_.observer == nullptr) return;
  std::string const text = make_error_code(why).message();
  params_.observer->on(events::pick_failed{.at = loop_.now(), .why = text, .waited = waited});
}

void pool::refuse_waiters(errc why) {
  while (waiter* const one = waiters_.front()) refuse(*one, why);
}

void pool::grow() {
  if (vacant_ == 0) return;
  std::vector<slot_size> sizes;
  sizes.reserve(slots_.size());
  for (auto const& one : slots_) {
    slot_state const state = one->state();
    sizes.push_back({.endpoint = one->endpoint_number(),
                     .open = state != slot_state::vacant,
                     .dialing = state == slot_state::idle || state == slot_state::connecting,
                     .ready = state == slot_state::ready,
                     .free = params_.max_calls_per_slot - std::min(one->in_flight(), params_.max_calls_per_slot)});
  }
  if (auto const at = slot_to_grow(sizes)) slots_[*at]->open();
}

// ---- chores

void pool::soon(chore*& place, void (pool::*what)()) noexcept {
  if (place != nullptr) return;
  place = ::new (loop_.allocate(sizeof(chore))) chore(*this, place, what);
  loop_.submit(*place);
}

void pool::keep_house_soon() noexcept { soon(house_chore_, &pool::keep_house); }

void pool::keep_house() {
  if (phase_ == phase::open) {
    grant_dials();
    serve_waiters();
    refuse_the_hopeless();
    serve_ready_waits();
  } else {
    check_drained();
  }
}

void pool::serve_waiters() {
  while (waiter* const one = waiters_.front()) {
    if (!try_take(*one)) return grow();
    withdraw(*one);
    one->on_served_({});
  }
}

void pool::refuse_the_hopeless() {
  if (waiting_ == 0 || !hopeless()) return;
  intrusive_list<waiter, waiter_tag> all;
  all.splice_back(waiters_);
  while (waiter* const one = all.front()) {
    withdraw(*one);
    if (one->wait_for_ready) {
      waiters_.push_back(*one);
      ++waiting_;
    } else {
      refuse(*one, errc::no_endpoint_ready);
    }
  }
}

void pool::serve_ready_waits() {
  ready_waits_.for_each([this](wait& one) {
    if (ready() >= static_cast<ready_wait&>(one).min_ready) end(one, {});
  });
}

void pool::enlist(ready_wait& one, ready_params wanted) {
  one.owner = this;
  one.min_ready = wanted.min_ready;
  ready_waits_.push_back(one);
  if (wanted.min_ready > params_.max_slots) return end(one, errc::out_of_range);
  open();
  if (phase_ != phase::open) return end(one, why_closed());
  open_slots(wanted.min_ready);
  loop_.arm(one.deadline, saturating_add(loop_.now(), wanted.timeout));
  keep_house_soon();
}

void pool::end(wait& one, error_code result) noexcept {
  if (!one.linked()) return;
  one.unlink();
  one.result = result;
  loop_.schedule(one);
}

// ---- the end

void pool::enlist_drain(wait& one, duration grace) {
  drain_waits_.push_back(one);
  if (phase_ == phase::closed) return end(one, {});
  if ((phase_ != phase::fresh && phase_ != phase::open) || drain_chore_ != nullptr) return;
  drain_grace_ = grace;
  // calls made before are on the loop's queue, and get their slot first
  soon(drain_chore_, &pool::start_drain);
}

void pool::start_drain() {
  if (phase_ != phase::fresh && phase_ != phase::open) return;
  phase_ = phase::draining;
  drain_started_ = loop_.now();
  if (params_.observer != nullptr) {
    params_.observer->on(
        events::drain_started{.at = loop_.now(), .in_flight = in_flight_, .waiting = waiting_, .grace = drain_grace_});
  }
  refuse_waiters(errc::pool_closed);
  ready_waits_.for_each([this](wait& one) { end(one, errc::pool_closed); });
  for (auto const& one : slots_) one->drain();
  loop_.arm(drain_timer_, saturating_add(loop_.now(), drain_grace_));
  keep_house_soon();
}

void pool::on_drain_timer() {
  if (phase_ == phase::draining) {
    revoke_all();
    // cancelled attempts come back in a moment; a lease whose owner does not look is not waited for
    loop_.arm(drain_timer_, saturating_add(loop_.now(), std::chrono::seconds(1)));
    keep_house_soon();
  } else {
    finish_drain();
  }
}

void pool::revoke_all() noexcept {
  phase_ = phase::revoking;
  revoked_ = in_flight_;
  while (pool_client* const one = clients_.try_pop_front()) one->on_pool_closed();
  for (auto const& one : slots_) {
    one->revoke_permits();
    one->end_drain();
  }
}

void pool::check_drained() {
  if (phase_ != phase::closed && in_flight_ == 0) finish_drain();
}

void pool::finish_drain() {
  phase_ = phase::closed;
  loop_.disarm(drain_timer_);
  if (params_.observer != nullptr) {
    params_.observer->on(
        events::drain_finished{.at = loop_.now(), .elapsed = loop_.now() - drain_started_, .revoked = revoked_});
  }
  error_code const result = revoked_ == 0 ? error_code{} : make_error_code(errc::timed_out);
  drain_waits_.for_each([&](wait& one) { end(one, result); });
}

// also the destructor's work: callers are told, nothing of theirs runs before the loop's next turn
void pool::on_stop() noexcept {
  if (phase_ != phase::closed) phase_ = phase::revoking;
  refuse_waiters(why_closed());
  ready_waits_.for_each([this](wait& one) { end(one, why_closed()); });
  for (auto const& one : slots_) one->drain();
  revoke_all();
  phase_ = phase::closed;
  loop_.disarm(drain_timer_);
  drain_waits_.for_each([this](wait& one) { end(one, errc::timed_out); });
}

pool_snapshot pool::snapshot() {
  pool_snapshot now{.slots = {},
                    .ready = ready(),
                    .in_flight = in_flight_,
                    .waiting = waiting_,
                    .draining = phase_ != phase::fresh && phase_ != phase::open,
                    .retry_budget = budget_.balance(loop_.now())};
  for (auto const& one : slots_) {
    now.slots.push_back({.number = one->number(),
                         .endpoint = one->endpoint(),
                         .state = one->state(),
                         .in_state = loop_.now() - one->since(),
                         .in_flight = one->in_flight(),
                         .connections = one->connections(),
                         .last_failure = one->last_failure(),
                         .coalescing = one->coalescing()});
  }
  return now;
}

// ---- leases

void pool::lease_wait::start(acquire_params wanted) {
  waiter_.wait_for_ready = wanted.wait_for_ready;
  waiter_.hash = wanted.hash_key.hash();
  if (from_.drain_chore_ != nullptr) {
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
