// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/handler.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/operation.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/async_result.hpp>

#include <string_view>
#include <utility>

namespace millrace {

namespace detail {

template <class Handler>
class grpc_operation final : public tracked_operation {
 public:
  grpc_operation(loop& on, Handler&& handler)
      : tracked_operation(&grpc_operation::run), loop_(on), handler_(on, std::move(handler)) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<grpc_operation&>(self);
    bool const call = how != completion::abandoned || !op.loop_.ending();
    auto handler = std::move(op.handler_);
    handler.destroy(&op);
    if (call) std::move(handler)(how == completion::ok);
  }

  loop& loop_;
  completion_handler<Handler> handler_;
};

}  // namespace detail

/// Any operation of gRPC's asynchronous API, on the loop's completion queue, with a completion token: for servers, and for
/// clients that are not the engine's.
///
///     bool const ok = co_await async_grpc(loop, "read", [&](void* tag) { stream.Read(&message, tag); }, asio::use_awaitable);
///
/// `start(void* tag)` is called at once and gives the tag to gRPC, together with `completion_queue(loop)` where a queue is asked
/// for. Completes with gRPC's `ok`, whose meaning differs by operation (grpcpp/completion_queue.h, at Next), or with false when
/// the loop is stopping, and `start` was not called. Signature `void(bool)`. `what` names it in a stop_report and stays valid.
///
/// Thread: the loop's. There is no cancellation: cancel what was started, and the operation completes.
template <class Start, class Token>
auto async_grpc(loop& on, std::string_view what, Start start, Token&& token) {
  return boost::asio::async_initiate<Token, void(bool)>(
      [&on, what](auto handler, Start begin) {
        using operation_type = detail::grpc_operation<decltype(handler)>;
        auto* const op = new_operation<operation_type>(on, handler, on, std::move(handler));
        on.start(*op, op_kind::user, what, std::move(begin));
      },
      token, std::move(start));
}

}  // namespace millrace
