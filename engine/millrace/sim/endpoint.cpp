// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/endpoint.hpp>

#include <millrace/sim/net.hpp>

#include <algorithm>
#include <utility>

namespace millrace::sim {

endpoint::endpoint(net& in, std::string name) : net_(in), name_(std::move(name)) {}

void endpoint::note(std::string_view what) {
  if (net_.on_note) net_.on_note(name_ + ' ' + std::string(what));
}

endpoint& endpoint::up() {
  note("is up");
  mode_ = mode::up;
  return *this;
}

endpoint& endpoint::down(std::string why) {
  note("refuses dials: " + why);
  mode_ = mode::down;
  refusal_ = std::move(why);
  return *this;
}

endpoint& endpoint::black_hole() {
  note("lets dials hang");
  mode_ = mode::black_hole;
  return *this;
}

endpoint& endpoint::accept_then_drop(duration lifetime) {
  note("accepts, then drops");
  mode_ = mode::flapping;
  lifetime_ = lifetime;
  return *this;
}

endpoint& endpoint::dial_takes(latency time) {
  dial_latency_ = time;
  return *this;
}

endpoint& endpoint::kill(std::string why) {
  note("dies");
  down(std::move(why));
  return drop();
}

endpoint& endpoint::drop(std::string_view why) {
  note("loses its connections");
  channels_.for_each([&](channel& one) { one.lose(why); });
  return *this;
}

endpoint& endpoint::go_away() {
  note("says goaway");
  channels_.for_each([](channel& one) { one.go_away(); });
  return *this;
}

endpoint& endpoint::call_takes(latency time) {
  call_latency_ = time;
  return *this;
}

endpoint& endpoint::answer_with(answer with) {
  usual_ = std::move(with);
  return *this;
}

endpoint& endpoint::answer_next(answer with) {
  next_.push_back(std::move(with));
  return *this;
}

endpoint& endpoint::answer_sometimes(double share, answer with) {
  sometimes_share_ = share;
  sometimes_ = std::move(with);
  return *this;
}

void endpoint::dial_began() {
  dialed_at_.push_back(net_.events().now());
  most_dials_in_flight_ = std::max(most_dials_in_flight_, ++dials_in_flight_);
}

void endpoint::connected() noexcept {
  ++connections_;
  ++connections_made_;
}

answer endpoint::receive(attempt_request const& request) {
  answer one = net_.random().uniform() < sometimes_share_ ? sometimes_ : usual_;
  if (!next_.empty()) {
    one = std::move(next_.front());
    next_.pop_front();
  }
  if (!one.after) one.after = call_latency_.draw(net_.random());
  if (!one.body) one.body = name_ + ": " + request.payload.to_string();
  if (one.pushback) one.trailers.emplace_back("grpc-retry-pushback-ms", *one.pushback);
  ++in_flight_;
  if (!one.never_left) {
    ++received_;
    received_at_.push_back(net_.events().now());
    if (on_request) on_request(request);
  }
  return one;
}

}  // namespace millrace::sim
