// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/dns_machine.hpp>

#include <millrace/base/rng.hpp>

#include <algorithm>

namespace millrace::resolve {

dns_machine::dns_machine(dns_params const& params, rng& random) noexcept
    : random_(random),
      refresh_({.initial = params.refresh_interval,
                .multiplier = 1,
                .max = params.refresh_interval,
                .jitter = params.jitter}),
      evidence_(params.evidence),
      backoff_(params.backoff) {}

dns_actions dns_machine::step(dns_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

dns_actions dns_machine::on(time_point, dns_event::start) noexcept {
  return state_ == dns_state::idle ? look_up(false) : dns_actions{};
}

dns_actions dns_machine::on(time_point now, dns_event::answered event) noexcept {
  if (event.addresses.empty()) return on(now, dns_event::failed{"the name has no addresses"});
  dns_actions actions;
  if (state_ != dns_state::looking) return actions;
  if (event.changed || failed_) actions.push_back(dns_action::publish{event.addresses});
  // evidence that is right, or rare, is followed promptly again
  if (event.changed || !on_evidence_) evidence_.reset();
  backoff_.reset();
  failed_ = false;
  state_ = dns_state::settled;
  evidence_from_ = saturating_add(now, evidence_.next(random_));
  refresh_at_ = saturating_add(now, refresh_.next(random_));
  actions.push_back(dns_action::arm{refresh_at_});
  return actions;
}

dns_actions dns_machine::on(time_point now, dns_event::failed event) noexcept {
  dns_actions actions;
  if (state_ != dns_state::looking) return actions;
  failed_ = true;
  state_ = dns_state::failing;
  actions.push_back(dns_action::report{event.why});
  actions.push_back(dns_action::arm{saturating_add(now, backoff_.next(random_))});
  return actions;
}

dns_actions dns_machine::on(time_point now, dns_event::hint) noexcept {
  switch (state_) {
    case dns_state::settled: {
      if (now >= evidence_from_) return look_up(true);
      dns_actions actions;
      state_ = dns_state::hinted;
      actions.push_back(dns_action::arm{std::min(evidence_from_, refresh_at_)});
      return actions;
    }
    case dns_state::idle:
    case dns_state::looking:  // it will bring what there is to know
    case dns_state::hinted:
    case dns_state::failing: return {};
  }
  return {};
}

dns_actions dns_machine::on(time_point, dns_event::elapsed) noexcept {
  switch (state_) {
    case dns_state::settled:
    case dns_state::failing: return look_up(false);
    case dns_state::hinted: return look_up(true);
    case dns_state::idle:
    case dns_state::looking: return {};
  }
  return {};
}

dns_actions dns_machine::look_up(bool on_evidence) noexcept {
  dns_actions actions;
  on_evidence_ = on_evidence;
  state_ = dns_state::looking;
  actions.push_back(dns_action::look_up{});
  return actions;
}

}  // namespace millrace::resolve
