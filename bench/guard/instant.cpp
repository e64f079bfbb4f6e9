// SPDX-License-Identifier: Apache-2.0
#include "instant.hpp"

#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/resolve/endpoint.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace::guard {
namespace {

constexpr std::size_t message_size = 16;

constexpr message_kind kind{
    .size = [](void const*) noexcept { return message_size; },
    .append_to = [](void const* bytes, std::string& out) { out.append(static_cast<char const*>(bytes), message_size); },
    .share = [](void* bytes) { return bytes; },
    .release = [](void*) noexcept {},
};

class instant_channel final : public channel {
 public:
  instant_channel(loop& on, instant_port& events, std::string endpoint)
      : channel(std::move(endpoint)), loop_(on), port_(events) {}
  ~instant_channel() override {
    if (watch_ != nullptr) port_.complete(watch_);
  }

  connectivity state() override { return state_; }
  void connect() override { state_ = connectivity::ready; }

  void watch(tracked_operation& op, std::string_view owner, connectivity last, time_point) override {
    loop_.start(op, op_kind::watch, owner, [&](void* tag) {
      if (state_ != last) return port_.complete(tag);
      watch_ = tag;
    });
  }

  // it never fails
  void explain(bound<void(std::string_view)>) override {}
  void forget_explain() noexcept override {}

 private:
  loop& loop_;
  instant_port& port_;
  connectivity state_ = connectivity::idle;
  void* watch_ = nullptr;
};

class channels final : public channel_factory {
 public:
  channels(loop& on, instant_port& events) noexcept : loop_(on), port_(events) {}
  channel* open(endpoint const& to, duration) override { return new instant_channel(loop_, port_, to.address); }

 private:
  loop& loop_;
  instant_port& port_;
};

class flight final : public unary_attempt {
 public:
  flight(loop& on, bound<void(completion)> done) noexcept : loop_(on), done_(done) {}

  void start(instant_port& events, std::string_view method) {
    loop_.start(back_, op_kind::call, method, [&](void* tag) { events.complete(tag); });
  }
  void cancel() noexcept override {}
  std::string peer() const override { return {}; }
  void release() noexcept override {
    loop& on = loop_;
    this->~flight();
    on.deallocate(this, sizeof(flight));
  }

 private:
  ~flight() = default;

  void on_back(completion how) {
    response = instant_message();
    committed = true;
    auto const done = done_;
    done(how);
  }

  loop& loop_;
  bound<void(completion)> done_;
  tag<&flight::on_back> back_{*this};
};

class flights final : public transport {
 public:
  flights(loop& on, instant_port& events) noexcept : loop_(on), port_(events) {}

  unary_attempt* start(attempt_request const& request, bound<void(completion)> done) override {
    auto* const one = ::new (loop_.allocate(sizeof(flight))) flight(loop_, done);
    one->start(port_, request.method.path());
    return one;
  }
  stream_attempt* open(attempt_request const&, stream_listener&) override {
    throw std::logic_error("instant_transport: there are no streams");
  }

 private:
  loop& loop_;
  instant_port& port_;
};

}  // namespace

void instant_port::wait(time_point until, std::size_t limit, sink deliver) {
  if (first_ == nullptr && until == never) throw std::logic_error("instant_port: the loop would wait for ever");
  if (first_ == nullptr && until != poll) now_ = std::max(now_, until);
  for (; limit > 0 && first_ != nullptr; --limit) {
    operation& op = *std::exchange(first_, first_->next);
    deliver(op, completion::ok);
  }
}

void instant_port::complete(void* tag) noexcept {
  auto* const op = static_cast<operation*>(tag);
  op->next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = op;
  last_ = op;
}

std::unique_ptr<channel_factory> instant_channels(loop& on, instant_port& events) {
  return std::make_unique<channels>(on, events);
}

std::unique_ptr<transport> instant_transport(loop& on, instant_port& events) {
  return std::make_unique<flights>(on, events);
}

message instant_message() noexcept {
  static char bytes[message_size]{};
  return {bytes, kind};
}

}  // namespace millrace::guard
