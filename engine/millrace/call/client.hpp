// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/grpc_message.hpp>
#include <millrace/call/method_of.hpp>
#include <millrace/call/result.hpp>
#include <millrace/call/stream.hpp>
#include <millrace/call/unary_operation.hpp>

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/serialization_traits.h>
#include <boost/asio/deferred.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace {

/// Turns a message into a `Response`; unparsable bytes are INTERNAL, as in gRPC.
template <class Response>
struct decode_response {
  using value_type = Response;
  using result_type = rpc_result<Response>;

  static bool decode(message&& bytes, Response& into, status& why_not) {
    if constexpr (std::derived_from<Response, google::protobuf::MessageLite>) {
      auto const piece = one_piece(bytes);
      // what does not parse is left to gRPC, for its words
      if (piece && into.ParseFromArray(piece->data(), static_cast<int>(piece->size()))) return true;
    }
    grpc::ByteBuffer buffer = to_byte_buffer(std::move(bytes));
    if constexpr (std::is_same_v<Response, grpc::ByteBuffer>) {
      into.Swap(&buffer);
      return true;
    } else {
      grpc::Status const parsed = grpc::SerializationTraits<Response>::Deserialize(&buffer, &into);
      if (!parsed.ok()) why_not = from_grpc(parsed);
      return parsed.ok();
    }
  }

  static result_type finish(status&& how, Response&& value) {
    if (!how.ok()) return to_grpc(how);
    return std::move(value);
  }
};

/// A message's bytes. Empty when it cannot be serialised.
template <class Request>
message encode_request(loop& on, Request const& request) {
  if constexpr (std::derived_from<Request, google::protobuf::MessageLite>) {
    return to_message(on, request);
  } else if constexpr (std::is_same_v<Request, grpc::ByteBuffer>) {
    return to_message(grpc::ByteBuffer(request));  // another reference to the same bytes
  } else {
    grpc::ByteBuffer bytes;
    bool own = false;
    bool const done = grpc::SerializationTraits<Request>::Serialize(request, &bytes, &own).ok();
    return done ? to_message(std::move(bytes)) : message{};
  }
}

/// The messages of a stream over gRPC.
template <class Request, class Response>
struct grpc_codec : decode_response<Response> {
  using request_type = Request;
  using response_type = Response;
  using status_type = grpc::Status;

  static message encode(loop& on, Request const& request) { return encode_request(on, request); }
  static grpc::Status to_status(status&& how) { return to_grpc(how); }
};

/// See basic_server_stream: `async_read`, `async_finish`, which tells a grpc::Status.
template <class Response>
using server_stream = basic_server_stream<grpc_codec<grpc::ByteBuffer, Response>>;

/// See basic_client_stream: `async_write`, `writes_done`, `async_finish`, which tells an rpc_result<Response>.
template <class Request, class Response>
using client_stream = basic_client_stream<grpc_codec<Request, Response>>;

/// See basic_bidi_stream: `async_read`, `async_write`, `writes_done`, `async_finish`, which tells a grpc::Status.
template <class Request, class Response>
using bidi_stream = basic_bidi_stream<grpc_codec<Request, Response>>;

/// The core of a client over gRPC.
std::shared_ptr<client_core> make_grpc_client(pool& from, client_params params);

/// Calls a generated service through a pool: `client<Echo>`, where `Echo::Stub` is what protoc made. A handle: copies are
/// cheap and share everything. May outlive its pool (calls then end with UNAVAILABLE), not its loop.
template <class Service>
class client {
 public:
  /// Throws std::invalid_argument naming the field of `params` that is wrong.
  client(pool& from, client_params params = {}) : core_(make_grpc_client(from, std::move(params))) {}

  /// One unary call: `co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 200ms})`.
  ///
  /// The request is serialised at once and need not outlive this line. Completes with an rpc_result of the response, through
  /// the loop, never from inside. A failed RPC is a value, not an exception. Signature `void(rpc_result<Response>)`.
  ///
  /// Thread: any. Cancellation (on the loop's thread): `total` only while it cannot have left, `partial` makes no further
  /// attempt, `terminal` cuts the attempt in flight off.
  template <auto PrepareAsync, class Token = boost::asio::deferred_t>
  requires(method_of<PrepareAsync>::kind == call_kind::unary)
      [[nodiscard]] auto async_call(typename method_of<PrepareAsync>::request_type const& request,
                                    call_options options = {}, Token&& token = {}) {
    return async_unary<decode_response<typename method_of<PrepareAsync>::response_type>>(
        core_, method_of<PrepareAsync>::get(), encode_request(core_->context(), request), std::move(options),
        std::forward<Token>(token));
  }

  /// A server stream: `auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(request)`, which begins at once. It is
  /// retried as a unary call is, until the server's headers arrive.
  ///
  /// Thread: any.
  template <auto PrepareAsync>
  requires(method_of<PrepareAsync>::kind == call_kind::server_stream)
      [[nodiscard]] server_stream<typename method_of<PrepareAsync>::response_type> async_call(
          typename method_of<PrepareAsync>::request_type const& request, call_options const& options = {},
          stream_options const& how = {}) {
    return {core_, method_of<PrepareAsync>::get(), encode_request(core_->context(), request), options, how};
  }

  /// A client stream: `auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>()`, which begins at once. It is repeated only
  /// when it provably never left, and no message of it was given to gRPC.
  ///
  /// Thread: any.
  template <auto PrepareAsync>
  requires(method_of<PrepareAsync>::kind == call_kind::client_stream) [[nodiscard]] client_stream<
      typename method_of<PrepareAsync>::request_type,
      typename method_of<PrepareAsync>::response_type> async_call(call_options const& options = {},
                                                                  stream_options const& how = {}) {
    return {core_, method_of<PrepareAsync>::get(), options, how};
  }

  /// A stream in both directions: `auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>()`. Else as a client stream.
  template <auto PrepareAsync>
  requires(method_of<PrepareAsync>::kind == call_kind::bidi_stream) [[nodiscard]] bidi_stream<
      typename method_of<PrepareAsync>::request_type,
      typename method_of<PrepareAsync>::response_type> async_call(call_options const& options = {},
                                                                  stream_options const& how = {}) {
    return {core_, method_of<PrepareAsync>::get(), options, how};
  }

 private:
  std::shared_ptr<client_core> core_;
};

/// Calls any method with bytes that somebody else serialised: for proxies and load tools.
class generic_client {
 public:
  generic_client(pool& from, client_params params = {}) : core_(make_grpc_client(from, std::move(params))) {}

  /// One unary call of `called`, which outlives it. The bytes are not copied. Signature `void(rpc_result<grpc::ByteBuffer>)`.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_call(method const& called, grpc::ByteBuffer request, call_options options = {},
                                Token&& token = {}) {
    return async_unary<decode_response<grpc::ByteBuffer>>(core_, called, to_message(std::move(request)),
                                                          std::move(options), std::forward<Token>(token));
  }

  /// A stream in both directions, of any kind of method: on the wire all are alike. Messages are not copied. `called` outlives
  /// it. Else as client's.
  [[nodiscard]] bidi_stream<grpc::ByteBuffer, grpc::ByteBuffer> async_stream(method const& called,
                                                                             call_options const& options = {},
                                                                             stream_options const& how = {}) {
    return {core_, called, options, how};
  }

 private:
  std::shared_ptr<client_core> core_;
};

}  // namespace millrace
