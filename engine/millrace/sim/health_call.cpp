// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/health_call.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/sim/net.hpp>

#include <algorithm>
#include <utility>

namespace millrace::sim {

health_call* health_call::start(net& in, channel& on, health_question const& question, health_listener& listener) {
  auto* const one = new health_call(in, on, question, listener);
  in.context().start(one->back_, op_kind::health, one->endpoint_, [&](void* tag) {
    in.events().expect(tag);
    one->expecting_ = true;
    on.board(*one);
  });
  return one;
}

health_call::health_call(net& in, channel& on, health_question const& question, health_listener& listener)
    : net_(in),
      channel_(&on),
      endpoint_(on.endpoint()),
      service_(question.service),
      watch_(question.watch),
      listener_(&listener) {
  channel_->add_user();
}

health_call::~health_call() { leave(); }

void health_call::orphan() noexcept {
  listener_ = nullptr;
  if (!back_.outstanding()) return delete this;
  leave();
  if (std::exchange(expecting_, false)) net_.events().complete(back_.as_tag(), completion::not_ok);
}

void health_call::on_connected() {
  received_ = true;
  channel_->to().receive(*this);
}

void health_call::on_lost(std::string_view why) {
  // what is on its way back has arrived already
  coming_.resize(expecting_ ? 0 : std::min<std::size_t>(coming_.size(), 1));
  end({status_code::unavailable, std::string(why), {}}, duration::zero());
}

void health_call::send(news one, duration after) {
  one.at = saturating_add(net_.events().now(), after);
  if (!coming_.empty()) one.at = std::max(one.at, coming_.back().at);
  coming_.push_back(std::move(one));
  if (expecting_) net_.events().arm(due_, coming_.front().at);
}

void health_call::on_due() {
  if (channel_ != nullptr && channel_->silent()) return;
  if (std::exchange(expecting_, false)) net_.events().complete(back_.as_tag(), completion::ok);
}

void health_call::expect_news() {
  net_.context().start(back_, op_kind::health, endpoint_, [&](void* tag) {
    net_.events().expect(tag);
    expecting_ = true;
    if (!coming_.empty()) net_.events().arm(due_, coming_.front().at);
  });
}

void health_call::on_back(completion how) {
  if (listener_ == nullptr) return delete this;
  if (how == completion::abandoned) return;  // whoever asked will orphan it
  news const one = std::move(coming_.front());
  coming_.pop_front();
  health_listener* const listener = listener_;
  if (one.answer && watch_) {
    expect_news();
  } else {
    delete this;
  }
  one.answer ? listener->on_answered(*one.answer) : listener->on_ended(one.end);
}

void health_call::leave() noexcept {
  if (channel_ == nullptr) return;
  if (received_ && watch_) --channel_->to().health_watches_;
  static_cast<list_base<rider_tag>*>(this)->unlink();
  static_cast<list_base<health_watch_tag>*>(this)->unlink();
  net_.events().disarm(due_);
  millrace::channel::drop_user(std::exchange(channel_, nullptr));
}

}  // namespace millrace::sim
