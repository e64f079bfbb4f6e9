// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/call_machine.hpp>

#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>

namespace millrace {

using namespace call_action;

call_actions call_machine::step(call_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

void call_machine::hedge_by(retry::retry_policy const& sequential, std::optional<duration> delay,
                            retry::budget& extra_load) noexcept {
  retry_.follow(sequential);
  if (!delay) return;
  hedge_delay_ = *delay;
  extra_load_ = &extra_load;
}

call_actions call_machine::on(time_point now, call_event::start) noexcept {
  call_actions actions;
  if (state_ != call_state::fresh) return actions;
  started_ = now;
  enter(call_state::starting);
  actions.push_back(run_start{});
  return actions;
}

call_actions call_machine::on(time_point now, call_event::start_passed) noexcept {
  call_actions actions;
  if (state_ != call_state::starting) return actions;
  if (now >= retry_.deadline()) {
    end(call_end::deadline, actions);  // nobody would wait for the answer
    return actions;
  }
  enter(call_state::queued);
  actions.push_back(queue{});
  return actions;
}

call_actions call_machine::on(time_point, call_event::start_finished event) noexcept {
  call_actions actions;
  if (state_ == call_state::starting) end(event.why, actions);
  return actions;
}

call_actions call_machine::on(time_point now, call_event::admitted) noexcept {
  call_actions actions;
  if (state_ == call_state::attempting) return start_hedge(now);
  if (state_ != call_state::queued) return actions;
  enter(call_state::attempting);
  ++attempts_;
  in_flight_ = 1;
  actions.push_back(start_attempt{});
  if (extra_load_ != nullptr) plan_hedge(saturating_add(now, hedge_delay_), actions);
  return actions;
}

call_actions call_machine::on(time_point now, call_event::refused event) noexcept {
  call_actions actions;
  if (state_ == call_state::attempting) return skip_hedge(now, hedge_skip::no_room);
  if (state_ != call_state::queued) return actions;
  if (!event.may_retry) {
    end(call_end::not_admitted, actions);
    return actions;
  }
  // as in gRPC, where an RPC that the picker fails counts as an attempt that ended with UNAVAILABLE
  return after_failure({.at = now, .code = status_code::unavailable, .elapsed = now - started_},
                       call_end::not_admitted);
}

call_actions call_machine::on(time_point now, call_event::attempt_done const& event) noexcept {
  call_actions actions;
  if (state_ != call_state::attempting) return actions;
  --in_flight_;
  if (event.code != status_code::ok && !broken_off_) return after_attempt(now, event);
  // an attempt that made it before the cut counts
  end(event.code == status_code::ok ? call_end::attempt : *broken_off_, actions);
  return actions;
}

call_actions call_machine::after_attempt(time_point now, call_event::attempt_done const& event) noexcept {
  metadata_view const trailers = event.trailers != nullptr ? *event.trailers : metadata_view{};
  retry::attempt_outcome const outcome{.at = now,
                                       .code = event.code,
                                       .committed = event.committed,
                                       .never_left = event.never_left,
                                       .pushback = trailers.find("grpc-retry-pushback-ms"),
                                       .timed_out = event.cut_off,
                                       .evicted = event.evicted,
                                       .trailers = trailers,
                                       .elapsed = now - started_};
  return in_flight_ > 0 ? after_failure_beside(outcome) : after_failure(outcome, call_end::attempt);
}

call_actions call_machine::after_failure(retry::attempt_outcome const& outcome, call_end otherwise) noexcept {
  call_actions actions;
  retry::attempt_action const decision = retry_.resume(outcome);
  if (auto const* const denied = std::get_if<retry_denial>(&decision)) {
    enter(call_state::ending);
    actions.push_back(call_action::end{otherwise, *denied});
  } else {
    auto const& again = std::get<retry::retry_at>(decision);
    enter(call_state::backing_off);
    actions.push_back(call_action::wait{again.at, again.transparent});
  }
  return actions;
}

call_actions call_machine::on(time_point now, call_event::elapsed) noexcept {
  call_actions actions;
  if (state_ == call_state::attempting && !broken_off_) return admit_hedge(now);
  if (state_ == call_state::attempting) {
    end(*broken_off_, actions);
    return actions;
  }
  if (state_ != call_state::backing_off) return actions;
  enter(call_state::queued);
  actions.push_back(queue{});
  return actions;
}

// ---- hedges

call_actions call_machine::after_failure_beside(retry::attempt_outcome const& outcome) noexcept {
  call_actions actions;
  retry::attempt_action const decision = retry_.resume_beside(outcome);
  if (auto const* const denied = std::get_if<retry_denial>(&decision)) {
    bool const fatal = *denied == retry_denial::not_retryable || *denied == retry_denial::committed;
    if (!fatal) return actions;  // the others may do better
    enter(call_state::ending);
    actions.push_back(call_action::end{call_end::attempt, *denied});
    return actions;
  }
  time_point const at = std::get<retry::retry_at>(decision).at;
  if (at <= outcome.at) return admit_hedge(outcome.at);
  plan_hedge(at, actions);
  return actions;
}

// `max_attempts` bounds what was sent, what is in flight and what was skipped, together
bool call_machine::may_hedge() const noexcept {
  bool const left = retry_.attempts() + in_flight_ + hedges_skipped_ < retry_.policy().max_attempts;
  return extra_load_ != nullptr && left && !broken_off_ && !retry_.denied();
}

void call_machine::plan_hedge(time_point at, call_actions& actions) noexcept {
  if (may_hedge() && at < retry_.deadline()) actions.push_back(hedge{hedge_action::arm{at}});
}

call_actions call_machine::admit_hedge(time_point now) noexcept {
  call_actions actions;
  if (!may_hedge()) return actions;
  if (!retry_.affords(now)) return skip_hedge(now, hedge_skip::budget);
  if (!extra_load_->allows(now)) return skip_hedge(now, hedge_skip::extra_load);
  actions.push_back(hedge{hedge_action::admit{}});
  return actions;
}

call_actions call_machine::skip_hedge(time_point now, hedge_skip why) noexcept {
  call_actions actions;
  if (!may_hedge()) return actions;
  ++hedges_skipped_;
  actions.push_back(hedge{hedge_action::skip{why}});
  plan_hedge(saturating_add(now, hedge_delay_), actions);
  return actions;
}

call_actions call_machine::start_hedge(time_point now) noexcept {
  call_actions actions;
  if (!may_hedge()) {
    actions.push_back(hedge{hedge_action::drop{}});
    return actions;
  }
  retry_.pay(now);
  static_cast<void>(extra_load_->try_withdraw(now));
  ++attempts_;
  ++in_flight_;
  actions.push_back(hedge{hedge_action::start{}});
  plan_hedge(saturating_add(now, hedge_delay_), actions);
  return actions;
}

// ---- the end

call_actions call_machine::on(time_point now, call_event::deadline) noexcept {
  return break_off(now, call_end::deadline);
}

call_actions call_machine::on(time_point now, call_event::revoke) noexcept { return break_off(now, call_end::revoked); }

call_actions call_machine::on(time_point now, call_event::cancel event) noexcept {
  bool const untouched = attempts_ == 0 && retry_.attempts() == 0;
  switch (event.depth) {
    case cancel_depth::total: return untouched ? break_off(now, call_end::cancelled) : call_actions{};
    case cancel_depth::partial:
      if (state_ != call_state::attempting) return break_off(now, call_end::cancelled);
      retry_.cancel();
      return {};
    case cancel_depth::terminal: return break_off(now, call_end::cancelled);
  }
  return {};
}

call_actions call_machine::break_off(time_point now, call_end why) noexcept {
  call_actions actions;
  switch (state_) {
    case call_state::starting: actions.push_back(abandon_hold{.ending = false}); break;
    case call_state::queued: actions.push_back(leave_queue{why}); break;
    case call_state::backing_off: actions.push_back(stop_waiting{}); break;
    case call_state::attempting:
      if (!broken_off_) {
        broken_off_ = why;
        actions.push_back(cancel_attempts{saturating_add(now, cut_grace)});
      }
      return actions;
    case call_state::ending: actions.push_back(abandon_hold{.ending = true}); return actions;
    case call_state::fresh: break;
    case call_state::ended: return actions;
  }
  end(why, actions);
  return actions;
}

void call_machine::end(call_end why, call_actions& actions) noexcept {
  enter(call_state::ending);
  actions.push_back(call_action::end{why});
}

call_actions call_machine::on(time_point, call_event::ended) noexcept {
  call_actions actions;
  if (state_ != call_state::ending) return actions;
  enter(call_state::ended);
  actions.push_back(complete{});
  return actions;
}

}  // namespace millrace
