// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/pool.hpp>

#include <millrace/balance/pick_first.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/pool/slot_publication.hpp>
#include <millrace/resolve/addresses.hpp>
#include <millrace/resolve/target.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <variant>

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

// what the target lists; none when a resolver is to say it
endpoint_set listed_in(pool_params const& params) {
  if (params.make_resolver) return {};
  resolve::target from = resolve::parse_target(params.target, "pool_params.target");
  auto* const listed = std::get_if<endpoint_set>(&from);
  return listed == nullptr ? endpoint_set{} : std::move(*listed);
}

// null for a target that lists its endpoints
std::unique_ptr<resolver> resolver_of(pool_params const& params, loop& on) {
  if (!params.make_resolver) {
    resolver_params const how{.dns = params.dns, .file = params.file, .make_lookup = params.make_lookup};
    return make_resolver(params.target, how, "pool_params.target")(on);
  }
  auto made = params.make_resolver(on);
  if (made == nullptr) throw std::invalid_argument("pool_params.make_resolver: it returned none");
  return made;
}

// also before it was its turn
bool gave_up_dialing(slot_state from, slot_state to) noexcept {
  bool const dialed = from == slot_state::idle || from == slot_state::connecting;
  return dialed && to != slot_state::connecting && to != slot_state::ready;
}

// why no call was admitted, in the order of the endpoints; a long list is cut
constexpr std::size_t most_reasons = 10;

}  // namespace

pool::pool(loop& on, pool_params params, std::unique_ptr<channel_factory> channels)
    : loop_(on),
      params_(validated(std::move(params))),
      channels_(std::move(channels)),
      budget_(params_.budget),
      roster_(params_.aperture, on.random().next()),
      selection_(
          make_picker(),
          {.panic_threshold = params_.panic_threshold, .failover = params_.failover, .slow_start = params_.slow_start}),
      scaling_(params_.scaling, params_.max_calls_per_slot),
      health_{.accrual = params_.accrual, .check = params_.health_check, .outlier = params_.outlier.has_value()},
      waiters_(on, params_.max_wait, bound<void(waiter&)>::to<&pool::on_waited_out>(*this)) {
  if (params_.outlier) outlier_.emplace(*params_.outlier, on.now());
  if (params_.concurrency_limit) limit_.emplace(*params_.concurrency_limit, on.random());
  // a list is known from the beginning
  if (endpoint_set listed = listed_in(params_); !listed.empty())
    apply(std::move(listed));
  else
    resolver_ = resolver_of(params_, on);
  loop_.add(*this);
}

balance::any_picker pool::make_picker() {
  if (params_.make_picker) return params_.make_picker();
  return balance::make_picker(params_.balance, loop_.random().next());
}

pool::~pool() {
  on_stop();
  for (chore* const one : {house_chore_, drain_chore_}) {
    if (one != nullptr) one->orphan();
  }
}

// ---- endpoints

void pool::on_endpoints(endpoint_set set) try {
  validate(set, "the resolver's answer");
  apply(std::move(set));
} catch (std::invalid_argument const& nonsense) {
  on_resolve_failed(nonsense.what());
}

void pool::on_resolve_failed(std::string_view why) {
  resolve_failure_ = why;
  if (params_.observer != nullptr) params_.observer->on(events::resolve_failed{.at = loop_.now(), .why = why});
  keep_house_soon();
}

void pool::update_endpoints(endpoint_set set) {
  validate(set, "pool::update_endpoints");
  apply(std::move(set));
}

void pool::apply(endpoint_set set) {
  if (phase_ != phase::fresh && phase_ != phase::open) return;
  resolved_ = true;
  resolve_failure_.clear();
  // whoever goes down the list one by one should not meet all of a family that does not work here before the other
  bool const one_by_one = !params_.make_picker && params_.balance == balance::pick_first::name;
  roster::change const change = roster_.apply(one_by_one ? resolve::interleaved(std::move(set)) : std::move(set));
  follow(change);
  auto const removed = static_cast<std::uint32_t>(change.removed.size());
  if (params_.observer != nullptr && phase_ == phase::open && (change.added > 0 || removed > 0)) {
    params_.observer->on(events::endpoints_changed{.at = loop_.now(),
                                                   .endpoints = static_cast<std::uint32_t>(roster_.wanted().size()),
                                                   .added = change.added,
                                                   .removed = removed});
  }
}

void pool::follow(roster::change const& change) {
  for (roster_entry* const one : roster_.wanted()) look_after(*one);
  for (roster_entry* const gone : change.removed) retire(*gone);
  fill();
  rebuild_soon();
}

// calls in flight there go on, and say nothing about it beside the others any more
void pool::retire(roster_entry& one) {
  if (outlier_ && outlier_->has(one.number)) {
    outlier_->remove(one.number);
    one.health->set_outlier(false, {});
  }
  for_each_slot(one, [](slot& each) { each.drain(); });
  to_sweep_ = true;
  keep_house_soon();
}

void pool::enlist_endpoint_drain(wait& one, std::string const& address, duration grace) {
  roster_entry* const at = roster_.find(address);
  if (at == nullptr || !at->listed) {
    wait_list refused;
    refused.push_back(one);
    return end(one, phase_ == phase::fresh || phase_ == phase::open ? make_error_code(errc::unknown_endpoint)
                                                                    : make_error_code(why_closed()));
  }
  at->drain_waits.push_back(one);
  if (phase_ != phase::fresh && phase_ != phase::open) return end(one, why_closed());
  if (std::exchange(at->drained, true)) return retire(*at);
  at->revoked = false;
  at->on_grace_over = bound<void(roster_entry&)>::to<&pool::on_endpoint_grace_over>(*this);
  loop_.arm(at->grace, saturating_add(loop_.now(), grace));
  retire(*at);
  follow(roster_.refresh());
}

void pool::on_endpoint_grace_over(roster_entry& one) {
  for_each_slot(one, [&](slot& each) {
    one.revoked = one.revoked || each.in_flight() > 0;
    each.revoke_permits();
    each.end_drain();
  });
}

error_code pool::readmit_endpoint(std::string_view address) {
  roster_entry* const at = roster_.find(address);
  if (at == nullptr || !(at->listed || at->drained)) return errc::unknown_endpoint;
  if (!std::exchange(at->drained, false)) return {};
  loop_.disarm(at->grace);
  at->drain_waits.for_each([this](wait& one) { end(one, errc::cancelled); });
  follow(roster_.refresh());
  to_sweep_ = true;
  keep_house_soon();
  return {};
}

// ---- slots

void pool::open() {
  if (phase_ != phase::fresh) return;
  phase_ = phase::open;
  if (resolver_ != nullptr) resolver_->start(*this);
  fill();
  rebuild_soon();
}

slot_bounds pool::bounds() const noexcept {
  return slots_for(params_.min_slots, params_.max_slots, static_cast<std::uint32_t>(roster_.wanted().size()));
}

// the most that somebody waits to see ready
std::uint32_t pool::slots_asked_for() {
  std::uint32_t most = 0;
  ready_waits_.for_each([&](wait& one) { most = std::max(most, static_cast<ready_wait&>(one).min_ready); });
  return most;
}

std::uint32_t pool::kept() { return std::max(bounds().min, slots_asked_for()); }

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

// one that is not ready, else the one with the fewest calls
void pool::drain_one_of(roster_entry& at) {
  slot* least = nullptr;
  auto const worth = [](slot const& one) { return std::pair(one.state() == slot_state::ready, one.load()); };
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
  slots_[number]->open();
  return *slots_[number];
}

std::uint32_t pool::open_replacement(std::uint32_t endpoint, std::uint32_t of, rotation_reason why) {
  slot const& made = open_slot(roster_[endpoint]);
  if (params_.observer != nullptr) {
    params_.observer->on(events::slot_replaced{
        .at = loop_.now(), .endpoint = made.endpoint(), .slot = of, .by = made.number(), .why = to_string(why)});
  }
  return made.number();
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

void pool::note_response(slot& one, roster_entry& at, call_outcome outcome, duration held) {
  if (!one.responsiveness || outcome.code == status_code::cancelled || outcome.code == status_code::unavailable) return;
  time_point const now = loop_.now();
  if (!outcome.unanswered) return one.responsiveness->on_response(now);
  if (one.responsiveness->on_deadline(now, now - held)) at.rotation->want(one.number(), rotation_reason::unresponsive);
}

// once a connection: all its calls say so
void pool::note_pings(slot& one) {
  if (std::exchange(one.over_pinged, one.connections()) == one.connections() || params_.observer == nullptr) return;
  params_.observer->on(events::too_many_pings{.at = loop_.now(), .endpoint = one.endpoint(), .slot = one.number()});
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

channel* pool::open_channel(slot& one) { return channels_->open(roster_[one.endpoint_number()].is); }

void pool::on_slot_changed(slot& one, slot_state from, slot_state to, std::string_view why, duration spent) {
  census_.moved(from, to);
  roster_entry& at = roster_[one.endpoint_number()];
  at.slots.moved(from, to);
  may_grow_ = true;
  to_publish_ = true;
  if (to == slot_state::closed) to_sweep_ = true;
  if (to == slot_state::ready) at.failed_at = time_point::min();
  if (to == slot_state::backing_off && at.slots.ready() == 0) at.failed_at = loop_.now();
  // calls wait for it, while they could go elsewhere
  if (to == slot_state::backing_off && selection_.about_to_fail_over()) rebuild_soon();
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

// a call succeeded there: nobody waits out a backoff for that endpoint. That it accepted a connection would not do: servers
// that accept and drop would be dialed in a circle
void pool::on_slot_proven(slot& one) {
  for_each_slot(roster_[one.endpoint_number()], [&](slot& other) {
    if (&other != &one) other.nudge();
  });
}

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
  time_point const again = selection_.rebuild(loop_.now(), roster_, slots_);
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

// ---- health

void pool::look_after(roster_entry& one) {
  if (one.rotation == nullptr) equip(one);
  if (outlier_ && !outlier_->has(one.number)) outlier_->add(one.number);
}

void pool::equip(roster_entry& one) {
  one.rotation =
      std::make_unique<slot_rotation>(loop_, static_cast<rotation_host&>(*this), params_.rotation, one.number);
  if (!health_.any()) return;
  one.health = std::make_unique<endpoint_health>(loop_, health_, one.number, budget_,
                                                 endpoint_health::listener::to<&pool::on_health_changed>(*this));
}

void pool::on_health_changed(endpoint_health& of) {
  rebuild_soon();
  if (params_.observer == nullptr || !of.changed()) return;
  health::verdict const& now_is = of.verdict();
  bool const well = now_is.severity() == health::severity::healthy;
  params_.observer->on(events::health_changed{.at = loop_.now(),
                                              .endpoint = roster_[of.endpoint_number()].address,
                                              .from = to_string(of.was()),
                                              .to = to_string(now_is.severity()),
                                              .reason = well ? std::string_view{} : to_string(now_is.reason()),
                                              .why = now_is.why()});
}

// what spoke against it goes with it: the same address may come back, and is then as good as new
void pool::tell_gone(roster_entry const& one) {
  if (params_.observer == nullptr || one.health == nullptr) return;
  health::severity const was = one.health->verdict().severity();
  if (was == health::severity::healthy) return;
  params_.observer->on(events::health_changed{.at = loop_.now(),
                                              .endpoint = one.address,
                                              .from = to_string(was),
                                              .to = to_string(health::severity::healthy),
                                              .reason = {},
                                              .why = {}});
}

void pool::sweep_outliers() {
  for (health::outlier_change const& one : outlier_->sweep(loop_.now(), loop_.random())) {
    endpoint_health& of = *roster_[one.endpoint].health;
    switch (one.decision) {
      case health::outlier_decision::ejected: of.set_outlier(true, to_string(one.method)); break;
      case health::outlier_decision::readmitted: of.set_outlier(false, {}); break;
      case health::outlier_decision::spared_by_enforcement:
      case health::outlier_decision::spared_by_limit: tell_spared(one); break;
    }
  }
  if (!outlier_->at_rest()) loop_.arm(outlier_due_, outlier_->next_sweep());
}

void pool::tell_spared(health::outlier_change const& one) {
  if (params_.observer == nullptr) return;
  params_.observer->on(events::ejection_spared{.at = loop_.now(),
                                               .endpoint = roster_[one.endpoint].address,
                                               .found_by = to_string(one.method),
                                               .why = to_string(one.decision)});
}

void pool::note_health(roster_entry& at, status_code outcome) {
  bool const failed = params_.failure_codes.contains(outcome);
  if (outlier_ && outcome != status_code::cancelled) {
    outlier_->record(at.number, !failed);
    if (!outlier_due_.armed()) loop_.arm(outlier_due_, std::max(outlier_->next_sweep(), loop_.now()));
  }
  at.health->on_done(outcome, failed);
}

// the health service is asked on the endpoint's oldest connection
void pool::ask_for_health(roster_entry& of) {
  if (!health_.check) return;
  slot* oldest = nullptr;
  for_each_slot(of, [&](slot& one) {
    if (one.state() == slot_state::ready && (oldest == nullptr || one.since() < oldest->since())) oldest = &one;
  });
  of.health->ask_on(oldest != nullptr ? oldest->channel() : nullptr);
}

void pool::reset_backoff() {
  for_each_slot([](slot& one) { one.nudge(); });
}

void pool::rotate() {
  for_each_slot([this](slot& one) {
    if (one.state() != slot_state::ready) return;
    roster_[one.endpoint_number()].rotation->want(one.number(), rotation_reason::asked);
  });
}

// ---- picking

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
  return phase_ == phase::open && drain_chore_ == nullptr && waiters_.empty() && try_take(one);
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
  chosen->take(one.into_);
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

// asked at each call of a crowded endpoint, so it spares the look that would find nothing to do
bool pool::may_open_beside(roster_entry const& at) const noexcept {
  return at.slots.open() == at.slots.ready() && census_.connections() + census_.in(slot_state::draining) < bounds().max;
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

void pool::on_received(slot& one) noexcept {
  if (one.responsiveness) one.responsiveness->on_response(loop_.now());
  auto const& health = roster_[one.endpoint_number()].health;
  if (health != nullptr && health->on_received() && !waiters_.empty()) keep_house_soon();
}

void pool::on_permit_released(slot& one) noexcept {
  --in_flight_;
  --roster_[one.endpoint_number()].in_flight;
  if (one.state() == slot_state::closed) to_sweep_ = true;
  if (!waiters_.empty() || to_sweep_ || phase_ != phase::open) keep_house_soon();
}

// what is learned from a call's end, whoever made it
void pool::note_outcome(slot& one, call_outcome how, duration held) {
  time_point const now = loop_.now();
  status_code const outcome = how.code;
  roster_entry& at = roster_[one.endpoint_number()];
  selection_.on_done({.now = now, .slot = one.number(), .code = outcome, .latency = held});
  if (limit_ && outcome != status_code::cancelled) {
    bool const dropped = outcome == status_code::resource_exhausted || outcome == status_code::unavailable;
    limit_->on_done(now, held, in_flight_ + outside_in_flight(), dropped);
  }
  if (outcome == status_code::ok && scaling_.on_done(now, at.number, held, at.calls(), at.slots.ready())) {
    scale(waiters_.size());
  }
  note_response(one, at, how, held);
  if (how.too_many_pings) note_pings(one);
  if (at.health != nullptr) note_health(at, outcome);
}

// no slot is connected or about to be, nor will calls soon go to another priority
bool pool::hopeless() {
  rebuild();
  bool const hope = selection_.about_to_fail_over() || census_.dialing() > 0 || asking();
  if (!selection_.chosen().empty() || hope) return false;
  if (roster_.wanted().empty()) return resolved_ || !resolve_failure_.empty();
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
  if (roster_.wanted().empty()) {
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

void pool::refuse(waiter& one, errc why) {
  waiters_.remove(one);
  tell_refused(why, loop_.now() - one.since_);
  one.on_served_(why);
}

void pool::give_up(waiter& one, errc why) {
  if (!one.waiting()) return;
  waiters_.remove(one);
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

bool pool::admits() const noexcept {
  std::uint32_t const calls = in_flight_ + outside_in_flight();
  return (params_.max_in_flight == 0 || calls < params_.max_in_flight) && (!limit_ || calls < limit_->limit());
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
    bool const grows = one.is.priority == selection_.priority() && (one.usable() || one.slots.ready() == 0);
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

// ---- chores

void pool::soon(chore*& place, void (pool::*what)()) noexcept {
  if (place != nullptr) return;
  place = ::new (loop_.allocate(sizeof(chore))) chore(*this, place, what);
  loop_.submit(*place);
}

void pool::keep_house_soon() noexcept { soon(house_chore_, &pool::keep_house); }

void pool::keep_house() {
  rebuild();
  if (std::exchange(to_publish_, false)) publish();
  if (phase_ == phase::open) {
    sweep();
    serve_waiters();
    grow(waiters_.size());
    grant_dials();
    refuse_the_hopeless();
    serve_ready_waits();
    if (waiters_.empty()) heed_outside_calls();
  } else if (phase_ == phase::fresh) {
    sweep();  // endpoints may go before the first call comes
  } else {
    check_drained();
  }
}

// frees closed slots, lets go of endpoints that are not used any more, and forgets those that are gone
void pool::sweep() {
  if (!std::exchange(to_sweep_, false)) return;
  for (auto& one : slots_) {
    if (one == nullptr || one->state() != slot_state::closed || one->load() > 0) continue;
    census_.removed(slot_state::closed);
    roster_[one->endpoint_number()].slots.removed(slot_state::closed);
    earlier_coalescing_ += one->coalescing();
    one.reset();
  }
  roster_.for_each([this](roster_entry& one) {
    if (one.wanted() || one.slots.all() > 0) return;
    loop_.disarm(one.grace);
    error_code const result = one.revoked ? make_error_code(errc::timed_out) : error_code{};
    one.drain_waits.for_each([&](wait& each) { end(each, result); });
    tell_gone(one);
    one.rotation.reset();
    one.health.reset();
    if (!one.listed && !one.drained) roster_.forget(one);
  });
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

void pool::serve_ready_waits() {
  ready_waits_.for_each([this](wait& one) {
    if (ready() >= static_cast<ready_wait&>(one).min_ready) end(one, {});
  });
}

void pool::enlist(ready_wait& one, ready_params wanted) {
  one.owner = this;
  one.min_ready = wanted.min_ready;
  ready_waits_.push_back(one);
  open();
  if (resolved_ && wanted.min_ready > bounds().max) return end(one, errc::out_of_range);
  if (phase_ != phase::open) return end(one, why_closed());
  fill();
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
  resolver_.reset();
  drain_started_ = loop_.now();
  if (params_.observer != nullptr) {
    params_.observer->on(events::drain_started{
        .at = loop_.now(), .in_flight = in_flight_, .waiting = waiters_.size(), .grace = drain_grace_});
  }
  refuse_waiters(errc::pool_closed);
  ready_waits_.for_each([this](wait& one) { end(one, errc::pool_closed); });
  if (outside_ != nullptr) outside_->close();
  for_each_slot([](slot& one) { one.drain(); });
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
  revoked_ = in_flight_ + outside_in_flight();
  while (pool_client* const one = clients_.try_pop_front()) one->on_pool_closed();
  for_each_slot([](slot& one) {
    one.revoke_permits();
    one.end_drain();
  });
}

void pool::check_drained() {
  if (phase_ == phase::closed || in_flight_ > 0) return;
  if (phase_ == phase::draining && outside_in_flight() > 0) return;
  finish_drain();
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
  end_endpoint_drains(result);
}

void pool::end_endpoint_drains(error_code result) {
  roster_.for_each([&](roster_entry& at) { at.drain_waits.for_each([&](wait& one) { end(one, result); }); });
}

// also the destructor's work: callers are told, nothing of theirs runs before the loop's next turn
void pool::on_stop() noexcept {
  if (outside_ != nullptr) outside_->detach();
  if (phase_ != phase::closed) phase_ = phase::revoking;
  resolver_.reset();
  refuse_waiters(why_closed());
  ready_waits_.for_each([this](wait& one) { end(one, why_closed()); });
  for_each_slot([](slot& one) { one.drain(); });
  revoke_all();
  phase_ = phase::closed;
  loop_.disarm(drain_timer_);
  drain_waits_.for_each([this](wait& one) { end(one, errc::timed_out); });
  end_endpoint_drains(errc::timed_out);
}

pool_snapshot pool::snapshot() {
  pool_snapshot now{.slots = {},
                    .ready = ready(),
                    .open = census_.open(),
                    .in_flight = in_flight_ + outside_in_flight(),
                    .waiting = waiters_.size(),
                    .draining = phase_ != phase::fresh && phase_ != phase::open,
                    .retry_budget = budget_.balance(loop_.now()),
                    .coalescing = earlier_coalescing_};
  for_each_slot([&](slot& one) {
    now.coalescing += one.coalescing();
    now.slots.push_back({.number = one.number(),
                         .endpoint = one.endpoint(),
                         .state = one.state(),
                         .in_state = loop_.now() - one.since(),
                         .in_flight = one.load(),
                         .connections = one.connections(),
                         .last_failure = one.last_failure(),
                         .coalescing = one.coalescing(),
                         .not_coalesced = std::string(one.why_not_coalesced())});
  });
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
