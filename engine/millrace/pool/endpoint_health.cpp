// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/endpoint_health.hpp>

#include <millrace/loop/loop.hpp>

#include <utility>

namespace millrace {

using health::health_reason;
using health::severity;

endpoint_health::endpoint_health(loop& on, health_params const& params, std::uint32_t number, retry::budget& charged,
                                 listener tell)
    : loop_(on), number_(number), tell_(tell) {
  if (params.accrual) {
    accrual_.emplace(*params.accrual);
    trial_timeout_ = params.accrual->base_ejection;
  }
  if (params.check) {
    check_.emplace(on, *params.check, charged,
                   bound<void(health::server_health, std::string_view)>::to<&endpoint_health::on_server_health>(*this));
  }
}

void endpoint_health::on_done(status_code code, bool failed) {
  trial_out_ = false;
  if (!accrual_ || code == status_code::cancelled) return;
  if (accrual_->record(loop_.now(), !failed, loop_.random())) publish_accrual();
}

void endpoint_health::begin_trial() noexcept {
  trial_out_ = true;
  loop_.arm(accrual_due_, saturating_add(loop_.now(), trial_timeout_));
}

void endpoint_health::on_accrual_due() {
  if (accrual_->on_elapsed(loop_.now())) return publish_accrual();
  if (std::exchange(trial_out_, false)) tell(false);
}

void endpoint_health::publish_accrual() {
  switch (accrual_->state()) {
    case health::accrual_state::alive: return say(health_reason::accrual, severity::healthy, {});
    case health::accrual_state::dead:
      loop_.arm(accrual_due_, accrual_->until());
      return say(health_reason::accrual, severity::unhealthy, accrual_->why());
    case health::accrual_state::probing: return say(health_reason::accrual, severity::probing, accrual_->why());
  }
}

void endpoint_health::ask_on(channel* one) {
  if (!check_ || one == asked_) return;
  asked_ = one;
  if (one != nullptr) {
    check_->start(*one);
    pending_ = check_->health() == health::server_health::pending;
  } else {
    check_->stop();
    pending_ = false;
    say(health_reason::health_check, severity::healthy, {});
  }
}

void endpoint_health::on_server_health(health::server_health what, std::string_view why) {
  bool const asks = what == health::server_health::pending && asked_ != nullptr;
  bool const asked = std::exchange(pending_, asks);
  bool const bad = what != health::server_health::pending && !health::usable(what);
  say(health_reason::health_check, severity_of(bad), bad ? why : std::string_view{}, asked != pending_);
}

void endpoint_health::say(health_reason by, severity what, std::string_view why, bool in_any_case) {
  was_ = verdict_.severity();
  bool const changed = verdict_.set(by, what, why);
  if (changed || in_any_case) tell(changed);
}

void endpoint_health::tell(bool changed) {
  changed_ = changed;
  tell_(*this);
}

}  // namespace millrace
