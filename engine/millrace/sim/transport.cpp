// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/transport.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/sim/stream_flight.hpp>
#include <millrace/sim/text_message.hpp>

#include <utility>

namespace millrace::sim {

class transport::flight final : public unary_attempt, public rider {
 public:
  flight(net& in, attempt_request const& request, bound<void(completion)> done) noexcept
      : net_(in), request_(request), channel_(static_cast<channel&>(request.channel)), done_(done) {
    ++net_.live_attempts_;
  }

  void start() {
    net_.context().start(back_, op_kind::call, request_.method.path(), [this](void* tag) {
      net_.events().expect(tag);
      under_way_ = true;
      net_.events().arm(deadline_, request_.deadline);
      channel_.board(*this);
    });
  }

  void cancel() noexcept override {
    if (!under_way_) return;
    duration const stuck = received_ ? answer_.stuck : duration::zero();
    bool const began = received_ && answer_.committed;
    answer_ = {.code = status_code::cancelled, .message = "Cancelled on client", .committed = began, .stuck = stuck};
    if (stuck == duration::zero()) return finish(std::move(answer_));
    net_.last_stuck_ = net_.events().now();
    if (std::exchange(cut_, true)) return;
    net_.events().disarm(deadline_);
    net_.events().arm(answered_, saturating_add(net_.last_stuck_, stuck));
  }

  std::string peer() const override { return peer_; }
  void release() noexcept override { delete this; }

 private:
  ~flight() { --net_.live_attempts_; }

  void on_connected() override {
    answer_ = channel_.to().receive(request_);
    received_ = true;
    peer_ = channel_.to().name();
    net_.events().arm(answered_, saturating_add(net_.events().now(), *answer_.after));
  }
  void on_lost(std::string_view why) override {
    finish({.code = status_code::unavailable, .message = std::string(why)});
  }
  void on_dial_failed(std::string_view why) override {
    finish({.code = status_code::unavailable, .message = std::string(why), .never_left = true});
  }
  void on_answered() {
    if (cut_ || !channel_.silent()) finish(std::move(answer_));
  }
  void on_deadline() {
    if (received_ && answer_.stuck > duration::zero()) return;  // the client's own deadline cuts it off
    finish({.code = status_code::deadline_exceeded, .message = "Deadline Exceeded"});
  }

  void finish(answer with) {
    if (!std::exchange(under_way_, false)) return;
    answer_ = std::move(with);
    static_cast<list_base<rider_tag>*>(this)->unlink();
    net_.events().disarm(deadline_);
    net_.events().disarm(answered_);
    if (received_) channel_.to().done();
    net_.events().complete(back_.as_tag(), completion::ok);
  }

  void on_back(completion how) {
    if (how != completion::abandoned) {
      result = {answer_.code, std::move(answer_.message), {}};
      if (result.ok()) response = to_message(std::move(*answer_.body));
      headers = view(answer_.headers);
      trailers = view(answer_.trailers);
      committed = result.ok() || answer_.committed;
      never_left = answer_.never_left;
    }
    auto const done = done_;  // its call frees it
    done(how);
  }

  net& net_;
  attempt_request const request_;
  channel& channel_;
  bound<void(completion)> done_;
  answer answer_;
  std::string peer_;
  bool under_way_ = false;
  bool received_ = false;
  bool cut_ = false;
  timer answered_{bound<void()>::to<&flight::on_answered>(*this)};
  timer deadline_{bound<void()>::to<&flight::on_deadline>(*this)};
  tag<&flight::on_back> back_{*this};
};

unary_attempt* transport::start(attempt_request const& request, bound<void(completion)> done) {
  auto* const one = new flight(net_, request, done);
  one->start();
  return one;
}

stream_attempt* transport::open(attempt_request const& request, stream_listener& listener) {
  auto* const one = new stream_flight(net_, request, listener);
  one->start();
  return one;
}

}  // namespace millrace::sim
