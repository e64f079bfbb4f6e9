// SPDX-License-Identifier: Apache-2.0
// What the pool learns from how calls end, and from health services.
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/pool/fewer_pings.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

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

void pool::note_response(slot& one, roster_entry& at, call_outcome outcome, duration held) {
  if (!one.responsiveness || outcome.code == status_code::cancelled || outcome.code == status_code::unavailable) return;
  time_point const now = loop_.now();
  if (!outcome.unanswered) return one.responsiveness->on_response(now);
  if (one.responsiveness->on_deadline(now, now - held)) at.rotation->want(one.number(), rotation_reason::unresponsive);
}

// once a connection: all its calls say so. And once for all that were as eager
void pool::note_pings(slot& one) {
  if (std::exchange(one.over_pinged, one.connections()) == one.connections()) return;
  roster_entry& at = roster_[one.endpoint_number()];
  duration const was = one.keepalive_time;
  one.keepalive_time = with_fewer_pings(was);  // as gRPC has it when it redials the channel
  bool const known = one.keepalive_time > was && one.keepalive_time <= at.min_keepalive_time;
  at.min_keepalive_time = std::max(at.min_keepalive_time, one.keepalive_time);
  if (known || params_.observer == nullptr) return;
  params_.observer->on(events::too_many_pings{.at = loop_.now(),
                                              .endpoint = one.endpoint(),
                                              .slot = one.number(),
                                              .keepalive_time = was,
                                              .next_keepalive_time = at.min_keepalive_time});
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

}  // namespace millrace
