// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/stream_call.hpp>
#include <millrace/loop/handler.hpp>

#include <boost/asio/async_result.hpp>

#include <optional>
#include <utility>

namespace millrace {

/// What the operations of a stream that end by calling a handler have in common. `Base` is stream_waiter or derived from it.
template <class Handler, class Base>
class stream_operation : public Base {
 protected:
  template <class... Args>
  stream_operation(loop& on, Handler&& handler, Args&&... args)
      : Base(std::forward<Args>(args)...), handler_(on, std::move(handler)) {}
  ~stream_operation() = default;

  /// Takes the handler out and frees `self`, which the caller has taken everything else from.
  template <class Self>
  static completion_handler<Handler> release(Self& self) {
    if (auto slot = self.handler_.cancellation_slot(); slot.is_connected()) slot.clear();
    auto handler = std::move(self.handler_);
    handler.destroy(&self);
    return handler;
  }

  completion_handler<Handler> handler_;
};

/// A read: `void(error_code, std::optional<Message>)`.
template <class Codec, class Handler>
class stream_read_operation final : public stream_operation<Handler, stream_reader> {
 public:
  stream_read_operation(loop& on, Handler&& handler)
      : stream_operation<Handler, stream_reader>(on, std::move(handler), &stream_read_operation::run,
                                                 &stream_read_operation::parse_into) {}

 private:
  static bool parse_into(stream_reader& self, message&& from, status& why_not) {
    auto& value = static_cast<stream_read_operation&>(self).value_;
    bool const parsed = Codec::decode(std::move(from), value.emplace(), why_not);
    if (!parsed) value.reset();
    return parsed;
  }

  static void run(operation& self, completion how) {
    auto& op = static_cast<stream_read_operation&>(self);
    error_code const error = op.error;
    auto value = std::move(op.value_);
    auto handler = stream_read_operation::release(op);
    if (how != completion::abandoned) std::move(handler)(error, std::move(value));
  }

  std::optional<typename Codec::response_type> value_;
};

/// A write: `void(error_code)`.
template <class Handler>
class stream_write_operation final : public stream_operation<Handler, stream_waiter> {
 public:
  stream_write_operation(loop& on, Handler&& handler)
      : stream_operation<Handler, stream_waiter>(on, std::move(handler), &stream_write_operation::run) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<stream_write_operation&>(self);
    error_code const error = op.error;
    auto handler = stream_write_operation::release(op);
    if (how != completion::abandoned) std::move(handler)(error);
  }
};

/// A finish: `void(Call::result_type)`.
template <class Call, class Handler>
class stream_finish_operation final : public stream_operation<Handler, stream_waiter> {
 public:
  stream_finish_operation(loop& on, Handler&& handler, Call* call)
      : stream_operation<Handler, stream_waiter>(on, std::move(handler), &stream_finish_operation::run), call_(call) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<stream_finish_operation&>(self);
    if (how == completion::abandoned) {
      stream_finish_operation::release(op);
      return;
    }
    auto result = op.error ? Call::misused(op.error) : op.call_->take_outcome();
    auto handler = stream_finish_operation::release(op);
    std::move(handler)(std::move(result));
  }

  Call* call_;
};

/// A stream_call that knows its messages. `Codec` reads and writes them and says what a finish tells: `request_type`,
/// `response_type`, `status_type` and `result_type`, for a client stream; `encode`, `decode`, `to_status`, `finish`.
template <class Codec>
class stream_call_of final : public stream_call {
 public:
  using result_type = typename Codec::status_type;
  using stream_call::stream_call;

  result_type take_outcome() { return Codec::to_status(take_result()); }
  static result_type misused(error_code error) {
    return Codec::to_status({status_code::failed_precondition, error.message(), {}});
  }

 private:
  bool parse(message&&, status&) override { return true; }
  void destroy() noexcept override {
    loop& on = context();
    this->~stream_call_of();
    on.deallocate(this, sizeof(stream_call_of));
  }
  ~stream_call_of() = default;
};

/// One whose answer is a message.
template <class Codec>
class collecting_call_of final : public stream_call {
 public:
  using result_type = typename Codec::result_type;
  using stream_call::stream_call;

  result_type take_outcome() { return Codec::finish(take_result(), std::move(value_)); }
  static result_type misused(error_code error) {
    return Codec::finish({status_code::failed_precondition, error.message(), {}}, {});
  }

 private:
  bool parse(message&& response, status& why_not) override {
    return Codec::decode(std::move(response), value_, why_not);
  }
  void destroy() noexcept override {
    loop& on = context();
    this->~collecting_call_of();
    on.deallocate(this, sizeof(collecting_call_of));
  }
  ~collecting_call_of() = default;

  typename Codec::response_type value_{};
};

}  // namespace millrace
