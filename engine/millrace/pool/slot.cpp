// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/slot.hpp>

#include <millrace/loop/loop.hpp>

#include <utility>

namespace millrace {

slot::slot(loop& on, slot_host& host, slot_params const& params, std::string const& endpoint, std::uint32_t number,
           std::uint32_t endpoint_number)
    : loop_(on),
      host_(host),
      endpoint_(endpoint),
      number_(number),
      endpoint_number_(endpoint_number),
      machine_(params, on.random()),
      since_(on.now()) {}

slot::~slot() {
  do_it(slot_action::close_channel{});
  permits_.for_each([](permit& one) { one.slot_ = nullptr; });
}

void slot::step(decltype(slot_event_at::what) what) {
  pump_.feed({loop_.now(), what}, [this](slot_event_at const& event) {
    for (slot_action_any const& action : machine_.step(event)) perform(action);
  });
}

void slot::resume(slot_redial const& from, std::string why) {
  explanation_ = std::move(why);
  step(slot_event::open{from});
  explanation_.clear();
}

void slot::perform(slot_action_any const& action) {
  std::visit([this](auto const& one) { do_it(one); }, action);
}

void slot::do_it(slot_action::request_dial) { host_.request_dial(*this); }

void slot::do_it(slot_action::release_dial) { host_.release_dial(*this); }

void slot::do_it(slot_action::open_channel) {
  channel_ = host_.open_channel(*this);
  watcher_ = watcher::create(loop_, endpoint_, watcher::listener::to<&slot::on_watch>(*this));
}

void slot::do_it(slot_action::connect) { channel_->connect(); }

void slot::do_it(slot_action::watch action) { watcher_->arm(*channel_, action.last, action.until); }

void slot::do_it(slot_action::arm action) { loop_.arm(timer_, action.at); }

void slot::do_it(slot_action::disarm) { loop_.disarm(timer_); }

void slot::do_it(slot_action::publish action) {
  time_point const now = loop_.now();
  duration const spent = now - std::exchange(since_, now);
  if (action.to == slot_state::ready) ++connections_;
  bool const failed = action.to == slot_state::backing_off;
  if (failed) last_failure_ = explanation_.empty() ? std::string(action.why) : std::exchange(explanation_, {});
  host_.on_slot_changed(*this, action.from, action.to, failed ? last_failure_ : action.why, spent);
}

void slot::do_it(slot_action::close_channel) {
  if (channel_ == nullptr) return;
  if (std::exchange(explaining_, false)) channel_->forget_explain();
  std::exchange(watcher_, nullptr)->orphan();
  channel_->uncork();  // or it would count as corked from here on
  earlier_coalescing_ += channel_->coalescing();
  channel::drop_user(std::exchange(channel_, nullptr));
}

void slot::on_watch(bool changed) {
  if (!changed) return step(slot_event::watch_expired{});
  connectivity const now_is = channel_->state();
  if (now_is == connectivity::transient_failure && state() == slot_state::connecting) {
    // ask first, so that whoever hears of the failure hears why; the dial's timer bounds the answer
    explaining_ = true;
    channel_->explain(bound<void(std::string_view)>::to<&slot::on_explained>(*this));
    return;
  }
  step(slot_event::observed{now_is});
}

void slot::on_explained(std::string_view why) {
  explaining_ = false;
  explanation_ = why;
  step(slot_event::observed{connectivity::transient_failure});
}

void slot::on_timer() { step(slot_event::elapsed{}); }

// ---- permits

void slot::take(permit& into) noexcept {
  into.slot_ = this;
  into.channel_ = channel_;
  into.slot_number_ = number_;
  into.endpoint_number_ = endpoint_number_;
  into.taken_ = loop_.now();
  into.reported_ = false;
  channel_->add_user();
  permits_.push_back(into);
  outside_->tell_own(++in_flight_);
}

void slot::note(permit& one, call_outcome outcome) noexcept {
  if (std::exchange(one.reported_, true)) return;
  learn(outcome.code);
  host_.on_outcome(*this, outcome, loop_.now() - one.taken_);
}

void slot::put_back(permit& one, call_outcome outcome) noexcept {
  outside_->tell_own(--in_flight_);
  note(one, outcome);
  host_.on_permit_released(*this);
  if (load() == 0) step(slot_event::last_call_done{});
}

void slot::on_outside_done(status_code outcome) {
  learn(outcome);
  if (load() == 0) step(slot_event::last_call_done{});
}

void slot::learn(status_code outcome) {
  if (outcome != status_code::ok || machine_.proven()) return;
  step(slot_event::proven{});
  if (machine_.proven()) host_.on_slot_proven(*this);
}

void slot::revoke_permits() noexcept {
  permits_.for_each([](permit& one) { one.revoke(); });
}

void permit::received() noexcept {
  if (slot_ != nullptr) slot_->host_.on_received(*slot_);
}

void permit::report(call_outcome outcome) noexcept {
  if (slot_ != nullptr) slot_->note(*this, outcome);
}

void permit::release(call_outcome outcome) noexcept {
  if (!held()) return;
  static_cast<list_base<permit_tag>*>(this)->unlink();
  channel::drop_user(std::exchange(channel_, nullptr));
  if (slot* const from = std::exchange(slot_, nullptr)) from->put_back(*this, outcome);
}

}  // namespace millrace
