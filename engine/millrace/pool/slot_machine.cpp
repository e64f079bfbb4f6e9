// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/slot_machine.hpp>

#include <millrace/base/rng.hpp>

#include <utility>

namespace millrace {

using namespace slot_action;

slot_machine::slot_machine(slot_params const& params, rng& random) noexcept
    : params_(params), random_(random), backoff_(params.backoff) {}

slot_actions slot_machine::step(slot_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

void slot_machine::enter(slot_state next, std::string_view why, slot_actions& actions) noexcept {
  actions.push_back(publish{state_, next, why});
  state_ = next;
}

std::optional<slot_redial> slot_machine::redial() const noexcept {
  switch (state_) {
    case slot_state::idle:
    case slot_state::connecting:
    case slot_state::backing_off: break;
    case slot_state::ready:
      if (proven_) return std::nullopt;
      break;
    case slot_state::vacant:
    case slot_state::draining:
    case slot_state::closed: return std::nullopt;
  }
  if (backoff_.failures() == 0) return std::nullopt;
  return slot_redial{backoff_, redial_at_};
}

slot_actions slot_machine::on(time_point now, slot_event::open event) noexcept {
  slot_actions actions;
  if (state_ != slot_state::vacant) return actions;
  if (event.after) {
    backoff_ = event.after->backoff;
    redial_at_ = event.after->at;
  }
  if (event.after && redial_at_ > now) {
    enter(slot_state::backing_off, "it has failed a moment ago", actions);
    actions.push_back(arm{redial_at_});
  } else {
    queue_for_dial("wanted", actions);
  }
  return actions;
}

slot_actions slot_machine::on(time_point now, slot_event::dial_granted) noexcept {
  slot_actions actions;
  if (state_ != slot_state::idle) {
    actions.push_back(release_dial{});
    return actions;
  }
  enter(slot_state::connecting, "dialing", actions);
  if (!has_channel_) {
    actions.push_back(open_channel{});
    has_channel_ = true;
    seen_ = connectivity::idle;
  }
  actions.push_back(connect{});
  actions.push_back(watch(now));
  actions.push_back(arm{saturating_add(now, params_.dial_timeout)});
  return actions;
}

slot_actions slot_machine::on(time_point now, slot_event::observed event) noexcept {
  slot_actions actions;
  seen_ = event.now_is;
  switch (state_) {
    case slot_state::connecting:
      switch (event.now_is) {
        case connectivity::ready: return connected(now);
        case connectivity::connecting: actions.push_back(watch(now)); return actions;
        case connectivity::idle: fail(now, "the connection was lost before it was ready", actions); return actions;
        case connectivity::transient_failure: fail(now, "the dial failed", actions); return actions;
        case connectivity::shutdown: fail(now, "the channel was shut down", actions); return actions;
      }
      return actions;
    case slot_state::ready:
      if (event.now_is != connectivity::ready) return lost(now, event.now_is);
      actions.push_back(watch(now));
      return actions;
    case slot_state::draining: return dialing_on(now);
    case slot_state::vacant:
    case slot_state::idle:
    case slot_state::backing_off:
    case slot_state::closed: return actions;
  }
  return actions;
}

slot_actions slot_machine::on(time_point now, slot_event::watch_expired) noexcept {
  if (state_ == slot_state::draining) return dialing_on(now);
  slot_actions actions;
  if (state_ == slot_state::connecting || state_ == slot_state::ready) actions.push_back(watch(now));
  return actions;
}

// calls that a GOAWAY let finish keep a channel that dials again, which nothing but its end can stop
slot_actions slot_machine::dialing_on(time_point now) noexcept {
  slot_actions actions;
  if (!dials_on_) return actions;
  dials_on_ = seen_ == connectivity::connecting;
  if (dials_on_)
    actions.push_back(watch(now));
  else
    actions.push_back(release_dial{});
  return actions;
}

slot_actions slot_machine::on(time_point now, slot_event::elapsed) noexcept {
  slot_actions actions;
  if (state_ == slot_state::connecting)
    fail(now, "the dial timed out", actions);
  else if (state_ == slot_state::backing_off)
    queue_for_dial("the backoff has passed", actions);
  return actions;
}

slot_actions slot_machine::on(time_point, slot_event::proven) noexcept {
  if (state_ == slot_state::ready) proven_ = true;
  return {};
}

slot_actions slot_machine::on(time_point, slot_event::nudge) noexcept {
  slot_actions actions;
  if (state_ != slot_state::backing_off) return actions;
  backoff_.reset();
  actions.push_back(disarm{});
  queue_for_dial("the endpoint may be back", actions);
  return actions;
}

slot_actions slot_machine::on(time_point, slot_event::drain event) noexcept {
  slot_actions actions;
  switch (state_) {
    case slot_state::vacant:
    case slot_state::backing_off:
    case slot_state::idle:
    case slot_state::connecting:
    case slot_state::ready:
      if (event.in_use) {
        if (state_ == slot_state::idle) actions.push_back(release_dial{});
        dials_on_ = state_ == slot_state::connecting;
        actions.push_back(disarm{});
        enter(slot_state::draining, "draining", actions);
      } else {
        close("drained", actions);
      }
      return actions;
    case slot_state::draining:
    case slot_state::closed: return actions;
  }
  return actions;
}

slot_actions slot_machine::on(time_point, slot_event::last_call_done) noexcept {
  slot_actions actions;
  if (state_ == slot_state::draining) close("drained", actions);
  return actions;
}

slot_actions slot_machine::on(time_point, slot_event::drain_elapsed) noexcept {
  slot_actions actions;
  if (state_ == slot_state::draining) close("the grace is over", actions);
  return actions;
}

void slot_machine::queue_for_dial(std::string_view why, slot_actions& actions) noexcept {
  enter(slot_state::idle, why, actions);
  actions.push_back(request_dial{});
}

// only from connecting: the turn to dial goes to the next
void slot_machine::fail(time_point now, std::string_view why, slot_actions& actions) noexcept {
  enter(slot_state::backing_off, why, actions);
  actions.push_back(close_channel{});
  has_channel_ = false;
  actions.push_back(release_dial{});
  redial_at_ = saturating_add(now, backoff_.next(random_));
  actions.push_back(arm{redial_at_});
}

slot_actions slot_machine::connected(time_point now) noexcept {
  slot_actions actions;
  ready_since_ = now;
  proven_ = false;
  enter(slot_state::ready, "connected", actions);
  actions.push_back(disarm{});
  actions.push_back(release_dial{});
  actions.push_back(watch(now));
  return actions;
}

slot_actions slot_machine::lost(time_point now, connectivity seen) noexcept {
  slot_actions actions;
  if (proven_ || now - ready_since_ >= params_.proven_after) {
    backoff_.reset();
    queue_for_dial("the connection was lost", actions);
  } else {
    // a server that accepts and drops at once must not be dialed in a tight loop
    enter(slot_state::backing_off, "the connection was lost as soon as it was ready", actions);
    redial_at_ = saturating_add(now, backoff_.next(random_));
    actions.push_back(arm{redial_at_});
  }
  if (seen != connectivity::idle) {
    actions.push_back(close_channel{});
    has_channel_ = false;
  }
  return actions;
}

void slot_machine::close(std::string_view why, slot_actions& actions) noexcept {
  if (state_ == slot_state::idle || state_ == slot_state::connecting || std::exchange(dials_on_, false)) {
    actions.push_back(release_dial{});
  }
  actions.push_back(disarm{});
  enter(slot_state::closed, why, actions);
  if (has_channel_) actions.push_back(close_channel{});
  has_channel_ = false;
}

watch slot_machine::watch(time_point now) noexcept {
  duration const slice = state_ == slot_state::ready ? params_.ready_watch_slice : params_.watch_slice;
  auto const jittered = std::chrono::duration_cast<duration>(slice * random_.between(0.9, 1.1));
  return {seen_, saturating_add(now, jittered)};
}

}  // namespace millrace
