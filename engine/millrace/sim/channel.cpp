// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/channel.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/sim/health_call.hpp>
#include <millrace/sim/net.hpp>

#include <algorithm>
#include <utility>

namespace millrace::sim {

/// A watch that is out: ends when the state is another one, at `until`, or with its channel.
class channel::pending_watch {
 public:
  pending_watch(channel& owner, void* tag, connectivity last, time_point until)
      : owner_(owner), tag_(tag), last_(last) {
    owner_.net_.events().expect(tag);
    owner_.net_.events().arm(slice_, until);
  }

  bool ended_by(connectivity now_is) const noexcept { return last_ != now_is; }
  void end(completion how) { owner_.net_.events().complete(tag_, how); }

 private:
  void on_slice_over() {
    end(completion::not_ok);
    std::erase_if(owner_.watches_, [this](auto const& one) { return one.get() == this; });
  }

  channel& owner_;
  void* tag_;
  connectivity last_;
  timer slice_{bound<void()>::to<&pending_watch::on_slice_over>(*this)};
};

/// Why the dial failed, on its way to whoever asked. Outlives its channel if need be.
class channel::question {
 public:
  question(channel& asked, bound<void(std::string_view)> say) : asked_(&asked), say_(say), why_(asked.failure_) {}

  void ask(net& in, std::string_view owner) {
    owner_ = owner;
    in.context().start(back_, op_kind::probe, owner_, [&](void* tag) { in.events().complete(tag, completion::ok); });
  }
  void forget() noexcept {
    asked_ = nullptr;
    say_ = {};
  }

 private:
  void on_back(completion how) {
    if (asked_ != nullptr) asked_->question_ = nullptr;
    auto const say = say_;
    std::string const why = std::move(why_);
    delete this;
    if (say && how != completion::abandoned) say(why);
  }

  channel* asked_;
  bound<void(std::string_view)> say_;
  std::string why_;
  std::string owner_;
  tag<&question::on_back> back_{*this};
};

channel::channel(net& in, sim::server& to, duration keepalive_time)
    : millrace::channel(to.name()), net_(in), to_(to), keepalive_time_(keepalive_time) {
  ++net_.live_channels_;
  to_.enter(*this);
}

channel::~channel() {
  forget_explain();
  if (state_ == connectivity::ready) to_.disconnected();
  end_dial();
  for (auto const& one : watches_) one->end(completion::ok);
  --net_.live_channels_;
}

void channel::connect() {
  if (state_ == connectivity::idle) dial();
  if (state_ != connectivity::connecting || asked_) return;
  asked_ = true;
  to_.dial_began();
}

void channel::dial() {
  become(connectivity::connecting);
  bool const hangs = to_.mode_ == server::mode::black_hole;
  duration const takes = hangs ? net_.dial_timeout : std::min(net_.dial_timeout, to_.dial_latency_.draw(net_.random()));
  net_.events().arm(dialed_, saturating_add(net_.events().now(), takes));
  failure_ = takes == net_.dial_timeout ? "Timeout occurred: the peer does not answer" : "";
}

void channel::end_dial() noexcept {
  net_.events().disarm(dialed_);
  if (std::exchange(asked_, false)) to_.dial_ended();
}

void channel::on_dialed() {
  end_dial();
  if (!failure_.empty()) return refused();
  switch (to_.mode_) {
    case server::mode::down: failure_ = to_.refusal_; return refused();
    case server::mode::black_hole: failure_ = "Timeout occurred: the peer does not answer"; return refused();
    case server::mode::flapping: net_.events().arm(flap_, saturating_add(net_.events().now(), to_.lifetime_)); break;
    case server::mode::up: break;
  }
  connected();
}

void channel::connected() {
  to_.connected();
  if (to_.connection_age_) {
    net_.events().arm(aged_, saturating_add(net_.events().now(), to_.connection_age_->draw(net_.random())));
  }
  become(connectivity::ready);
  while (rider* const one = waiting_.try_pop_front()) {
    sent_.push_back(*one);
    one->on_connected();
  }
}

void channel::refused() {
  become(connectivity::transient_failure);
  while (rider* const one = waiting_.try_pop_front()) one->on_dial_failed(failure_);
}

void channel::on_flap() { lose("Connection reset by peer"); }

void channel::lose(std::string_view why) {
  while (rider* const one = sent_.try_pop_front()) one->on_lost(why);
  go_away();
}

void channel::go_away() {
  if (state_ != connectivity::ready) return;
  net_.events().disarm(flap_);
  net_.events().disarm(aged_);
  silent_ = false;
  to_.disconnected();
  become(connectivity::idle);
}

void channel::become(connectivity next) {
  state_ = next;
  std::erase_if(watches_, [&](auto const& one) {
    bool const over = one->ended_by(next);
    if (over) one->end(completion::ok);
    return over;
  });
}

void channel::board(rider& one) {
  switch (state_) {
    case connectivity::ready:
      sent_.push_back(one);
      if (!silent_) one.on_connected();
      return;
    case connectivity::transient_failure:
    case connectivity::shutdown: one.on_dial_failed(failure_); return;
    case connectivity::idle: dial(); [[fallthrough]];
    case connectivity::connecting: waiting_.push_back(one); return;
  }
}

void channel::watch(tracked_operation& op, std::string_view owner, connectivity last, time_point until) {
  net_.context().start(op, op_kind::watch, owner, [&](void* tag) {
    if (state_ != last) {
      net_.events().complete(tag, completion::ok);
    } else {
      watches_.push_back(std::make_unique<pending_watch>(*this, tag, last, until));
    }
  });
}

void channel::explain(bound<void(std::string_view)> say) {
  question_ = new question(*this, say);
  question_->ask(net_, endpoint());
}

millrace::health_call* channel::ask_health(health_question const& question, health_listener& listener) {
  return health_call::start(net_, *this, question, listener);
}

void channel::forget_explain() noexcept {
  if (question_ != nullptr) std::exchange(question_, nullptr)->forget();
}

}  // namespace millrace::sim
