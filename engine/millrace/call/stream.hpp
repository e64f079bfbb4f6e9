// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/stream_operation.hpp>

#include <boost/asio/deferred.hpp>

#include <memory>
#include <new>
#include <string>
#include <utility>

namespace millrace {

/// The handle of a stream: movable, not copyable. The call began when the handle was made; destroying the handle cancels it and
/// never blocks. One that was moved from answers errc::stream_ended.
///
/// Thread: the loop's, or any while the loop does not run; making and destroying: any. Not to outlive its loop. None of its
/// functions calls a handler from inside, and none aborts because of the order in which they are called: what may not be asked
/// for is an errc (see stream_machine).
template <class Codec, class Call>
class stream_handle {
 public:
  stream_handle(stream_handle&& other) noexcept : loop_(other.loop_), call_(std::exchange(other.call_, nullptr)) {}
  stream_handle& operator=(stream_handle&& other) noexcept {
    stream_handle taken(std::move(other));
    std::swap(loop_, taken.loop_);
    std::swap(call_, taken.call_);
    return *this;
  }
  ~stream_handle() {
    if (call_ != nullptr) call_->let_go();
  }

  /// How it ended: `void(Codec::status_type)`; of a client stream `void(Codec::result_type)`, with the answer. Half-closes, if
  /// that is still to be done, after what was written; reads and drops the messages that nobody read. Once a stream; a second
  /// one ends with FAILED_PRECONDITION. Cancellation, of any type, cancels the stream.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_finish(Token&& token = {}) {
    return boost::asio::async_initiate<Token, void(typename Call::result_type)>(
        [on = loop_, call = call_](auto handler) {
          using operation_type = stream_finish_operation<Call, decltype(handler)>;
          auto slot = boost::asio::get_associated_cancellation_slot(handler);
          auto* const op = new_operation<operation_type>(*on, handler, *on, std::move(handler), call);
          if (call == nullptr) return end(*on, *op);
          if (slot.is_connected()) slot.assign([call](boost::asio::cancellation_type) { call->cancel(); });
          call->finish(*op);
        },
        token);
  }

  /// Ends the call, as CANCELLED unless it had ended already. In any state, and more than once.
  void cancel() {
    if (call_ != nullptr) call_->cancel();
  }

  // what the server sent beside messages: empty before it arrived, and valid as long as the handle

  /// From the first message on at the latest.
  metadata_view initial_metadata() const noexcept {
    return call_ != nullptr ? call_->initial_metadata() : metadata_view{};
  }
  /// After the finish, or when a read found no more messages.
  metadata_view trailing_metadata() const noexcept {
    return call_ != nullptr ? call_->trailing_metadata() : metadata_view{};
  }
  /// The server's address, as gRPC writes it: `ipv4:127.0.0.1:50051`. Empty before the call was given to a connection.
  std::string peer() const { return call_ != nullptr ? call_->peer() : std::string(); }

 protected:
  stream_handle(std::shared_ptr<client_core> client, method const& called, call_kind kind, message payload,
                call_options const& options, stream_options const& how)
      : loop_(&client->context()) {
    void* const block = loop_->allocate(sizeof(Call));
    call_ = ::new (block) Call(std::move(client), called, kind, std::move(payload), options, how);
    call_->begin();
  }

  template <class Token>
  auto read(Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::optional<typename Codec::response_type>)>(
        [on = loop_, call = call_](auto handler) {
          using operation_type = stream_read_operation<Codec, decltype(handler)>;
          auto slot = boost::asio::get_associated_cancellation_slot(handler);
          auto* const op = new_operation<operation_type>(*on, handler, *on, std::move(handler));
          if (call == nullptr) return end(*on, *op);
          if (slot.is_connected()) slot.assign([call](boost::asio::cancellation_type) { call->give_up_read(); });
          call->read(*op);
        },
        token);
  }

  template <class Token>
  auto write(typename Codec::request_type const& one, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code)>(
        [on = loop_, call = call_](auto handler, message bytes) {
          using operation_type = stream_write_operation<decltype(handler)>;
          auto slot = boost::asio::get_associated_cancellation_slot(handler);
          auto* const op = new_operation<operation_type>(*on, handler, *on, std::move(handler));
          if (call == nullptr) return end(*on, *op);
          if (slot.is_connected()) slot.assign([call](boost::asio::cancellation_type) { call->give_up_write(); });
          call->write(*op, std::move(bytes));
        },
        token, Codec::encode(*loop_, one));
  }

  error_code close_writes() { return call_ != nullptr ? call_->writes_done() : error_code(errc::stream_ended); }

 private:
  static void end(loop& on, stream_waiter& one) {
    one.error = errc::stream_ended;
    on.submit(one);
  }

  loop* loop_;
  Call* call_;
};

/// A call that sends one message and receives many. With cancellation and threads as stream_handle says.
template <class Codec>
class basic_server_stream : public stream_handle<Codec, stream_call_of<Codec>> {
 public:
  /// `request` is what the call sends.
  basic_server_stream(std::shared_ptr<client_core> client, method const& called, message request,
                      call_options const& options, stream_options const& how)
      : stream_handle<Codec, stream_call_of<Codec>>(std::move(client), called, call_kind::server_stream,
                                                    std::move(request), options, how) {}

  /// The next message: `void(error_code, std::optional<Response>)`. None without an error means that there are no more, however
  /// the call ended; async_finish tells. So `while (auto one = co_await stream.async_read(use_awaitable))` reads all.
  ///
  /// One at a time (errc::operation_in_progress). Cancellation, of any type, ends the wait with errc::cancelled; a message that
  /// is on its way is the next read's.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_read(Token&& token = {}) {
    return this->read(std::forward<Token>(token));
  }
};

/// A call that sends many messages and receives one, with its finish.
template <class Codec>
class basic_client_stream : public stream_handle<Codec, collecting_call_of<Codec>> {
 public:
  basic_client_stream(std::shared_ptr<client_core> client, method const& called, call_options const& options,
                      stream_options const& how)
      : stream_handle<Codec, collecting_call_of<Codec>>(std::move(client), called, call_kind::client_stream, {},
                                                        options, how) {}

  /// Sends a message, which is serialised at once: `void(error_code)`. Completes when fewer bytes than
  /// `stream_options::write_watermark` wait, which is what keeps a fast writer from filling the memory; not when the server has
  /// read it.
  ///
  /// One at a time (errc::operation_in_progress). errc::stream_ended: the call is over, and async_finish tells why.
  /// Cancellation, of any type, ends the wait with errc::cancelled; the message goes out all the same.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_write(typename Codec::request_type const& one, Token&& token = {}) {
    return this->write(one, std::forward<Token>(token));
  }

  /// There is nothing more to write. The half-close goes after the messages that wait, and with the last of them.
  error_code writes_done() { return this->close_writes(); }
};

/// A call that sends and receives many messages, independently of each other.
template <class Codec>
class basic_bidi_stream : public stream_handle<Codec, stream_call_of<Codec>> {
 public:
  basic_bidi_stream(std::shared_ptr<client_core> client, method const& called, call_options const& options,
                    stream_options const& how)
      : stream_handle<Codec, stream_call_of<Codec>>(std::move(client), called, call_kind::bidi_stream, {}, options,
                                                    how) {}

  /// As basic_server_stream::async_read.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_read(Token&& token = {}) {
    return this->read(std::forward<Token>(token));
  }

  /// As basic_client_stream::async_write.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_write(typename Codec::request_type const& one, Token&& token = {}) {
    return this->write(one, std::forward<Token>(token));
  }

  /// As basic_client_stream::writes_done.
  error_code writes_done() { return this->close_writes(); }
};

}  // namespace millrace
