// SPDX-License-Identifier: Apache-2.0
// The pool's part in calls that others make on its slots, from any thread.
#include <millrace/pool/pool.hpp>
#include <millrace/pool/slot_publication.hpp>

#include <algorithm>

namespace millrace {

// dials before it publishes, so that a call that is made at once finds slots that connect
void pool::publish_to(std::shared_ptr<slot_publication> whom) {
  outside_ = std::move(whom);
  if (phase_ != phase::fresh && phase_ != phase::open) return outside_->detach();
  open();
  grant_dials();
  publish();
}

void pool::publish() {
  if (outside_ == nullptr) return;
  rebuild();
  std::vector<bool> chosen(slots_.size());
  for (slot const* const one : selection_.chosen()) chosen[one->number()] = true;
  std::vector<published_slot> all;
  all.reserve(slots_.size());
  for_each_slot([&](slot& one) {
    roster_entry const& at = roster_[one.endpoint_number()];
    all.push_back({.number = one.number(),
                   .endpoint = at.number,
                   .is = at.is,
                   .weight = selection_.weight_of(at, loop_.now()),
                   .endpoint_hash = at.hash,
                   .pool_weight = roster_.weight(),
                   .min_keepalive_time = at.min_keepalive_time,
                   .state = state_for_others(one, chosen[one.number()]),
                   .connected = one.state() == slot_state::ready,
                   .probing = at.probing() && !selection_.panicking(),
                   .channel = one.channel(),
                   .calls = one.outside()});
  });
  outside_->publish(all, why_not_ready());
}

slot_state pool::state_for_others(slot const& one, bool chosen) const {
  if (one.state() != slot_state::ready || chosen) return one.state();
  roster_entry const& at = roster_[one.endpoint_number()];
  if (!at.wanted()) return slot_state::draining;
  if (at.unhealthy()) return slot_state::backing_off;
  return at.connected() ? slot_state::idle : slot_state::connecting;
}

// a sample, of the moment at which the pool hears of them
void pool::count_outside_calls() {
  roster_.for_each([](roster_entry& at) { at.outside = 0; });
  for_each_slot([this](slot& one) { roster_[one.endpoint_number()].outside += one.outside()->count(); });
  roster_.for_each([](roster_entry& at) { at.peak = std::max(at.peak, at.calls()); });
}

void pool::on_outside_calls() {
  count_outside_calls();
  for (outside_outcome const& each : outside_->take_outcomes()) {
    slot* const one = each.slot < slots_.size() ? slots_[each.slot].get() : nullptr;
    if (one == nullptr || one->outside().get() != each.calls) continue;
    note_outcome(*one, each.code, each.latency);
    one->on_outside_done(each.code);
  }
  switch (outside_->take_wish()) {
    case outside_wish::none: break;
    case outside_wish::look: scale(waiters_.size()); break;
    case outside_wish::room: grow(waiters_.size() + 1); break;
  }
  if (!waiters_.empty() || to_sweep_ || phase_ != phase::open) keep_house_soon();
}

// what ended before this line is seen by the housekeeping; what ends later is told
void pool::heed_outside_calls() {
  if (outside_ == nullptr) return;
  outside_->tell_each(!waiters_.empty());
  if (!waiters_.empty()) keep_house_soon();
}

std::uint32_t pool::outside_in_flight() const noexcept { return outside_ != nullptr ? outside_->in_flight() : 0; }

}  // namespace millrace
