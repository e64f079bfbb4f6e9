// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/server.hpp>

#include <millrace/sim/net.hpp>

#include <algorithm>
#include <utility>

namespace millrace::sim {

server::server(net& in, std::string name) : net_(in), name_(std::move(name)) {}

void server::note(std::string_view what) {
  if (net_.on_note) net_.on_note(name_ + ' ' + std::string(what));
}

server& server::up() {
  note("is up");
  mode_ = mode::up;
  return *this;
}

server& server::down(std::string why) {
  note("refuses dials: " + why);
  mode_ = mode::down;
  refusal_ = std::move(why);
  return *this;
}

server& server::black_hole() {
  note("lets dials hang");
  mode_ = mode::black_hole;
  return *this;
}

server& server::accept_then_drop(duration lifetime) {
  note("accepts, then drops");
  mode_ = mode::flapping;
  lifetime_ = lifetime;
  return *this;
}

server& server::dial_takes(latency time) {
  dial_latency_ = time;
  return *this;
}

server& server::kill(std::string why) {
  note("dies");
  down(std::move(why));
  return drop();
}

server& server::drop(std::string_view why) {
  note("loses its connections");
  channels_.for_each([&](channel& one) { one.lose(why); });
  return *this;
}

server& server::go_away() {
  note("says goaway");
  channels_.for_each([](channel& one) { one.go_away(); });
  return *this;
}

server& server::connection_age(latency age) {
  connection_age_ = age;
  return *this;
}

server& server::fall_silent() {
  note("falls silent");
  channels_.for_each([](channel& one) { one.fall_silent(); });
  return *this;
}

server& server::call_takes(latency time) {
  call_latency_ = time;
  return *this;
}

server& server::answer_with(answer with) {
  usual_ = std::move(with);
  return *this;
}

server& server::answer_next(answer with) {
  next_.push_back(std::move(with));
  return *this;
}

server& server::answer_sometimes(double share, answer with) {
  sometimes_share_ = share;
  sometimes_ = std::move(with);
  return *this;
}

server& server::stream_with(stream_answer with) {
  usual_stream_ = std::move(with);
  return *this;
}

server& server::stream_next(stream_answer with) {
  next_streams_.push_back(std::move(with));
  return *this;
}

server& server::health(health_answer says) {
  note("says of its health: " + std::string(to_string(says)));
  health_ = says;
  health_listeners_.for_each([&](health_call& one) { answer_health(one); });
  return *this;
}

server& server::health_takes(duration time) {
  health_latency_ = time;
  return *this;
}

server& server::end_health_watches(status_code code, std::string message) {
  note("ends the watches of its health");
  health_listeners_.for_each([&](health_call& one) { one.end({code, message, {}}, health_latency_); });
  return *this;
}

void server::receive(health_call& question) {
  asked_at_.push_back(net_.events().now());
  last_health_question_ = {.service = std::string(question.service()), .watch = question.watches()};
  if (question.watches()) {
    health_listeners_.push_back(question);
    ++health_watches_;
  }
  answer_health(question);
}

void server::answer_health(health_call& question) {
  using enum health::serving_status;
  switch (health_) {
    case health_answer::serving: return question.say(serving, health_latency_);
    case health_answer::not_serving: return question.say(not_serving, health_latency_);
    case health_answer::service_unknown:
      if (question.watches()) return question.say(service_unknown, health_latency_);
      return question.end({status_code::not_found, "unknown service", {}}, health_latency_);
    case health_answer::unimplemented: return question.end({status_code::unimplemented, "", {}}, health_latency_);
    case health_answer::silent: return;
  }
}

void server::dial_began() {
  dialed_at_.push_back(net_.events().now());
  most_dials_in_flight_ = std::max(most_dials_in_flight_, ++dials_in_flight_);
}

void server::connected() noexcept {
  ++connections_;
  ++connections_made_;
}

stream_answer server::receive_stream() {
  stream_answer one = usual_stream_;
  if (!next_streams_.empty()) {
    one = std::move(next_streams_.front());
    next_streams_.pop_front();
  }
  ++in_flight_;
  if (!one.never_left) {
    ++received_;
    received_at_.push_back(net_.events().now());
  }
  return one;
}

answer server::receive(attempt_request const& request) {
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
