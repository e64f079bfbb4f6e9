// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/call_machine.hpp>

namespace millrace {

using namespace call_action;

call_actions call_machine::step(call_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

call_actions call_machine::on(time_point, call_event::start) noexcept {
  call_actions actions;
  if (state_ != call_state::fresh) return actions;
  enter(call_state::starting);
  actions.push_back(run_start{});
  return actions;
}

call_actions call_machine::on(time_point, call_event::start_passed) noexcept {
  call_actions actions;
  if (state_ != call_state::starting) return actions;
  enter(call_state::queued);
  actions.push_back(queue{});
  return actions;
}

call_actions call_machine::on(time_point, call_event::start_finished event) noexcept {
  call_actions actions;
  if (state_ == call_state::starting) end(event.why, actions);
  return actions;
}

call_actions call_machine::on(time_point, call_event::admitted) noexcept {
  call_actions actions;
  if (state_ != call_state::queued) return actions;
  enter(call_state::attempting);
  ++attempts_;
  actions.push_back(start_attempt{});
  return actions;
}

call_actions call_machine::on(time_point now, call_event::refused event) noexcept {
  call_actions actions;
  if (state_ != call_state::queued) return actions;
  if (!event.may_retry) {
    end(call_end::not_admitted, actions);
    return actions;
  }
  // as in gRPC, where an RPC that the picker fails counts as an attempt that ended with UNAVAILABLE
  return after_failure({.at = now, .code = status_code::unavailable}, call_end::not_admitted);
}

call_actions call_machine::on(time_point now, call_event::attempt_done const& event) noexcept {
  call_actions actions;
  if (state_ != call_state::attempting) return actions;
  if (event.code == status_code::ok || broken_off_) {
    // an attempt that made it before the cut counts
    end(event.code == status_code::ok ? call_end::attempt : *broken_off_, actions);
    return actions;
  }
  return after_failure({.at = now,
                        .code = event.code,
                        .committed = event.committed,
                        .never_left = event.never_left,
                        .pushback = event.pushback},
                       call_end::attempt);
}

call_actions call_machine::after_failure(retry::attempt_outcome const& outcome, call_end otherwise) noexcept {
  call_actions actions;
  retry::attempt_action const decision = retry_.resume(outcome);
  if (auto const* const denied = std::get_if<retry_denial>(&decision)) {
    actions.push_back(deny{*denied});
    end(otherwise, actions);
  } else {
    auto const& again = std::get<retry::retry_at>(decision);
    enter(call_state::backing_off);
    actions.push_back(call_action::wait{again.at, again.transparent});
  }
  return actions;
}

call_actions call_machine::on(time_point, call_event::backoff_elapsed) noexcept {
  call_actions actions;
  if (state_ != call_state::backing_off) return actions;
  enter(call_state::queued);
  actions.push_back(queue{});
  return actions;
}

call_actions call_machine::on(time_point, call_event::deadline) noexcept { return break_off(call_end::deadline); }

call_actions call_machine::on(time_point, call_event::revoke) noexcept { return break_off(call_end::revoked); }

call_actions call_machine::on(time_point, call_event::cancel event) noexcept {
  bool const untouched = attempts_ == 0 && retry_.attempts() == 0;
  switch (event.depth) {
    case cancel_depth::total: return untouched ? break_off(call_end::cancelled) : call_actions{};
    case cancel_depth::partial:
      if (state_ != call_state::attempting) return break_off(call_end::cancelled);
      retry_.cancel();
      return {};
    case cancel_depth::terminal: return break_off(call_end::cancelled);
  }
  return {};
}

call_actions call_machine::break_off(call_end why) noexcept {
  call_actions actions;
  switch (state_) {
    case call_state::starting: actions.push_back(abandon_hold{.ending = false}); break;
    case call_state::queued: actions.push_back(leave_queue{why}); break;
    case call_state::backing_off: actions.push_back(stop_waiting{}); break;
    case call_state::attempting:
      if (!broken_off_) {
        broken_off_ = why;
        actions.push_back(cancel_attempt{});
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
