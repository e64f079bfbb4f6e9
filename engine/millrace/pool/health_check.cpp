// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/health_check.hpp>

#include <utility>

namespace millrace {

using namespace health::watch_action;

health_check::health_check(loop& on, health::watch_params const& params, retry::budget& charged, listener tell)
    : loop_(on), params_(params), charged_(charged), tell_(tell), machine_(params, on.random()) {
  loop_.add(*this);
}

void health_check::start(channel& on) {
  // what is out on another channel is taken back by the machine, and knows its own
  channel_ = &on;
  step(health::watch_event::start{});
}

void health_check::stop() noexcept {
  step(health::watch_event::stop{});
  channel_ = nullptr;
}

void health_check::on_answered(health::serving_status status) {
  if (machine_.state() == health::watch_state::checking) call_ = nullptr;
  step(health::watch_event::answered{status});
}

void health_check::on_ended(status const& why) {
  call_ = nullptr;
  last_words_ = why.message;
  step(health::watch_event::ended{.code = why.code, .connected = channel_->state() == connectivity::ready});
}

void health_check::step(decltype(health::watch_event_at::what) what) {
  pump_.feed({loop_.now(), what}, [this](health::watch_event_at const& event) {
    for (auto const& action : machine_.step(event)) {
      std::visit([this](auto const& one) { do_it(one); }, action);
    }
  });
}

void health_check::ask(bool watch, time_point until) {
  last_words_.clear();
  call_ = channel_->ask_health({.service = params_.service, .watch = watch, .until = until}, *this);
  if (call_ == nullptr) {
    last_words_ = "this kind of channel cannot be asked";
    return step(health::watch_event::ended{.code = status_code::unimplemented, .connected = true});
  }
  charged_.charge(loop_.now());
}

void health_check::do_it(open_watch) { ask(true, never); }

void health_check::do_it(start_check action) { ask(false, action.until); }

void health_check::do_it(cancel) {
  if (call_ != nullptr) std::exchange(call_, nullptr)->orphan();
}

void health_check::do_it(arm action) { loop_.arm(timer_, action.at); }

void health_check::do_it(disarm) { loop_.disarm(timer_); }

void health_check::do_it(publish action) {
  if (action.code == status_code::ok) return tell_(action.health, action.why);
  std::string why(action.why);
  why.append(": ").append(to_string(action.code));
  if (!last_words_.empty()) why.append(" (").append(last_words_).append(")");
  tell_(action.health, why);
}

}  // namespace millrace
