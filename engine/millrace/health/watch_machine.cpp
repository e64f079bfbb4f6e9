// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/watch_machine.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>

namespace millrace::health {

using namespace watch_action;

void validate(watch_params const& params, std::string_view field_prefix) {
  auto const positive = [&](duration value, std::string_view field) {
    using retry::impl::refuse, retry::impl::text;
    if (value <= duration::zero()) refuse(field_prefix, field, text(value), "more than 0ms");
  };
  positive(params.initial_timeout, "initial_timeout");
  positive(params.check_interval, "check_interval");
  positive(params.check_timeout, "check_timeout");
  validate(params.backoff, std::string(field_prefix) + ".backoff");
}

std::string_view to_string(server_health value) noexcept {
  switch (value) {
    case server_health::pending: return "pending";
    case server_health::serving: return "serving";
    case server_health::not_serving: return "not_serving";
    case server_health::service_unknown: return "service_unknown";
    case server_health::failing: return "failing";
    case server_health::unsupported: return "unsupported";
  }
  return "?";
}

std::string_view to_string(watch_state value) noexcept {
  switch (value) {
    case watch_state::stopped: return "stopped";
    case watch_state::opening: return "opening";
    case watch_state::watching: return "watching";
    case watch_state::backing_off: return "backing_off";
    case watch_state::checking: return "checking";
    case watch_state::resting: return "resting";
    case watch_state::exempt: return "exempt";
  }
  return "?";
}

watch_machine::watch_machine(watch_params const& params, rng& random) noexcept
    : params_(params), random_(random), backoff_(params.backoff) {}

watch_actions watch_machine::step(watch_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

watch_actions watch_machine::on(time_point now, watch_event::start) noexcept {
  watch_actions actions;
  if (state_ == watch_state::stopped) {
    health_ = server_health::pending;
    code_ = status_code::ok;
    actions.push_back(watch_action::publish{health_, "its health is not known yet", code_});
  }
  let_go(actions);
  backoff_.reset();
  params_.use_check ? check(now, actions) : open(now, actions);
  return actions;
}

watch_actions watch_machine::on(time_point now, watch_event::answered event) noexcept {
  watch_actions actions;
  switch (state_) {
    case watch_state::opening: actions.push_back(disarm{}); [[fallthrough]];
    case watch_state::watching:
      backoff_.reset();
      state_ = watch_state::watching;
      publish(event.status, actions);
      return actions;
    case watch_state::checking:
      backoff_.reset();
      rest(now, std::chrono::duration_cast<duration>(params_.check_interval * random_.between(0.9, 1.1)), actions);
      publish(event.status, actions);
      return actions;
    case watch_state::stopped:
    case watch_state::backing_off:
    case watch_state::resting:
    case watch_state::exempt: return actions;
  }
  return actions;
}

watch_actions watch_machine::on(time_point now, watch_event::ended event) noexcept {
  watch_actions actions;
  switch (state_) {
    case watch_state::opening:
    case watch_state::watching:
    case watch_state::checking: break;
    case watch_state::stopped:
    case watch_state::backing_off:
    case watch_state::resting:
    case watch_state::exempt: return actions;
  }
  if (event.code == status_code::unimplemented) {
    if (state_ != watch_state::watching) actions.push_back(disarm{});
    state_ = watch_state::exempt;
    publish(server_health::unsupported, "the server has no health service", actions, event.code);
    return actions;
  }
  bool const checked = state_ == watch_state::checking;
  // a Check says in this way what a Watch says with an answer
  if (checked && event.code == status_code::not_found)
    return on(now, watch_event::answered{serving_status::service_unknown});
  if (checked) {
    rest_after_failure(now, actions);
  } else {
    // a call on a connection that is lost would dial: whose turn that is, connectivity decides
    bool const at_once = state_ == watch_state::watching && event.connected;
    time_point const soonest = saturating_add(opened_, params_.backoff.initial);
    actions.push_back(arm{at_once ? std::max(now, soonest) : saturating_add(now, backoff_.next(random_))});
    state_ = watch_state::backing_off;
  }
  if (event.connected) {
    publish(server_health::failing, checked ? "the health check failed" : "the health watch ended", actions,
            event.code);
  }
  return actions;
}

watch_actions watch_machine::on(time_point now, watch_event::elapsed) noexcept {
  watch_actions actions;
  switch (state_) {
    case watch_state::opening:
      actions.push_back(cancel{});
      check(now, actions);
      return actions;
    case watch_state::backing_off: open(now, actions); return actions;
    case watch_state::checking:
      actions.push_back(cancel{});
      rest_after_failure(now, actions);
      publish(server_health::failing, "the health check timed out", actions, status_code::deadline_exceeded);
      return actions;
    case watch_state::resting: check(now, actions); return actions;
    case watch_state::stopped:
    case watch_state::watching:
    case watch_state::exempt: return actions;
  }
  return actions;
}

watch_actions watch_machine::on(time_point, watch_event::stop) noexcept {
  watch_actions actions;
  let_go(actions);
  state_ = watch_state::stopped;
  health_ = server_health::pending;
  return actions;
}

void watch_machine::open(time_point now, watch_actions& actions) noexcept {
  state_ = watch_state::opening;
  opened_ = now;
  actions.push_back(open_watch{});
  actions.push_back(arm{saturating_add(now, params_.initial_timeout)});
}

void watch_machine::check(time_point now, watch_actions& actions) noexcept {
  state_ = watch_state::checking;
  time_point const until = saturating_add(now, params_.check_timeout);
  actions.push_back(start_check{until});
  actions.push_back(arm{until});
}

void watch_machine::rest(time_point now, duration time, watch_actions& actions) noexcept {
  state_ = watch_state::resting;
  actions.push_back(arm{saturating_add(now, time)});
}

// a server that hiccuped is asked again soon
void watch_machine::rest_after_failure(time_point now, watch_actions& actions) noexcept {
  rest(now, std::min(backoff_.next(random_), params_.check_interval), actions);
}

void watch_machine::let_go(watch_actions& actions) noexcept {
  switch (state_) {
    case watch_state::opening:
    case watch_state::checking:
      actions.push_back(cancel{});
      actions.push_back(disarm{});
      return;
    case watch_state::watching: actions.push_back(cancel{}); return;
    case watch_state::backing_off:
    case watch_state::resting: actions.push_back(disarm{}); return;
    case watch_state::stopped:
    case watch_state::exempt: return;
  }
}

void watch_machine::publish(serving_status status, watch_actions& actions) noexcept {
  switch (status) {
    case serving_status::serving: return publish(server_health::serving, "the server says SERVING", actions);
    case serving_status::not_serving:
      return publish(server_health::not_serving, "the server says NOT_SERVING", actions);
    case serving_status::unknown: return publish(server_health::not_serving, "the server says UNKNOWN", actions);
    case serving_status::service_unknown:
      return publish(server_health::service_unknown, "the server does not know the service", actions);
  }
}

void watch_machine::publish(server_health health, std::string_view why, watch_actions& actions,
                            status_code code) noexcept {
  if (health == health_ && code == code_) return;
  health_ = health;
  code_ = code;
  actions.push_back(watch_action::publish{health, why, code});
}

}  // namespace millrace::health
