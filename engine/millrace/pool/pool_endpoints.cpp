// SPDX-License-Identifier: Apache-2.0
// The pool's endpoints: where they come from, what each is given, and how it goes.
#include <millrace/pool/pool.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/resolve/addresses.hpp>

#include <stdexcept>
#include <utility>

namespace millrace {

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
  roster::change const change =
      roster_.apply(roster_.one_by_one() ? resolve::interleaved(std::move(set)) : std::move(set));
  follow(change);
  // of those that have left some may have no slot whose end would be noticed
  if (change.left > 0) to_sweep_ = true;
  if (params_.observer != nullptr && phase_ == phase::open && (change.added > 0 || change.left > 0)) {
    params_.observer->on(events::endpoints_changed{
        .at = loop_.now(), .endpoints = roster_.size(), .added = change.added, .removed = change.left});
  }
  take_turns();
}

void pool::follow(roster::change const& change) {
  for (roster_entry* const one : roster_.wanted()) look_after(*one);
  for (roster_entry* const gone : change.removed) retire(*gone);
  fill();
  rebuild_soon();
}

// where one endpoint is enough. Returns when to do so again although nothing changes in between
time_point pool::take_turns() {
  if (phase_ != phase::open || !roster_.one_by_one()) return never;
  // one whose turn it is may be known to have failed a moment ago: then it is the next one's, too
  for (bool turned = true; turned;) {
    roster::change const change = roster_.look(loop_.now());
    turned = change.turned;
    if (turned || !change.chosen.empty()) follow(change);
    if (params_.observer != nullptr) tell_chosen(change);
  }
  return roster_.look_again();
}

void pool::tell_chosen(roster::change const& change) {
  for (roster_entry const* const one : change.chosen) {
    params_.observer->on(events::endpoint_chosen{
        .at = loop_.now(), .endpoint = one->address, .priority = one->is->priority, .endpoints = roster_.size()});
  }
}

// calls in flight there go on, and say nothing about it beside the others any more
void pool::retire(roster_entry& one) {
  if (outlier_ && outlier_->has(one.number)) {
    outlier_->remove(one.number);
    one.health->set_outlier(false, {});
  }
  for_each_slot(one, [&](slot& each) {
    // only its turn is over: when it comes again soon, it is no reason to dial sooner or more often
    if (auto const left = each.redial(); left && one.may_be_wanted()) {
      one.left_off = unfinished_redial{*left, each.last_failure()};
    }
    each.drain();
  });
  to_sweep_ = true;
  keep_house_soon();
}

void pool::look_after(roster_entry& one) {
  if (one.rotation == nullptr) equip(one);
  if (outlier_ && !outlier_->has(one.number)) outlier_->add(one.number);
}

void pool::equip(roster_entry& one) {
  one.rotation =
      std::make_unique<slot_rotation>(loop_, static_cast<rotation_host&>(*this), params_.rotation, one.number);
  if (!health_.any() || one.health != nullptr) return;
  one.health = std::make_unique<endpoint_health>(loop_, health_, one.number, budget_,
                                                 endpoint_health::listener::to<&pool::on_health_changed>(*this));
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
  take_turns();
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
  take_turns();
  to_sweep_ = true;
  keep_house_soon();
  return {};
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

}  // namespace millrace
