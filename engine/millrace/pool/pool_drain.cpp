// SPDX-License-Identifier: Apache-2.0
// Waiting for the pool: until it is ready, and for its end.
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/pool/slot_publication.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

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

void pool::serve_ready_waits() {
  ready_waits_.for_each([this](wait& one) {
    if (ready() >= static_cast<ready_wait&>(one).min_ready) end(one, {});
  });
}

void pool::end(wait& one, error_code result) noexcept {
  if (!one.linked()) return;
  one.unlink();
  one.result = result;
  loop_.schedule(one);
}

void pool::enlist_drain(wait& one, duration grace) {
  drain_waits_.push_back(one);
  if (phase_ == phase::closed) return end(one, {});
  if ((phase_ != phase::fresh && phase_ != phase::open) || drain_chore_.pending()) return;
  drain_grace_ = grace;
  // calls made before are on the loop's queue, and get their slot first
  drain_chore_.soon();
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

}  // namespace millrace
