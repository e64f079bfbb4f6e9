// SPDX-License-Identifier: Apache-2.0
// The pool's part in calls that others make on its slots, from any thread.
#include <millrace/pool/pool.hpp>
#include <millrace/pool/slot_publication.hpp>

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
    bool const unused = one.state() == slot_state::ready && !chosen[one.number()];
    all.push_back({.number = one.number(),
                   .endpoint = at.number,
                   .weight = selection_.weight_of(at, loop_.now()),
                   .endpoint_weight = at.is.weight,
                   .endpoint_hash = at.hash,
                   .address = one.endpoint(),
                   .authority = at.is.authority,
                   .state = unused ? slot_state::draining : one.state(),
                   .channel = one.channel(),
                   .calls = one.outside()});
  });
  outside_->publish(all, why_not_ready());
}

void pool::on_outside_calls() {
  for (outside_outcome const& each : outside_->take_outcomes()) {
    slot* const one = each.slot < slots_.size() ? slots_[each.slot].get() : nullptr;
    if (one == nullptr || one->outside().get() != each.calls) continue;
    note_outcome(*one, each.code, each.latency);
    one->on_outside_done(each.code);
  }
  if (outside_->take_wish_for_room() && phase_ == phase::open) grow(waiters_.size() + 1);
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
