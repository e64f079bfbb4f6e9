// SPDX-License-Identifier: Apache-2.0
// A proxy for any gRPC service: each call that comes in goes out through a pool, message by message, unread and not copied, and
// both sides are on one loop.
#pragma once

#include <millrace/call/client.hpp>
#include <millrace/call/deadline.hpp>
#include <millrace/loop/async_grpc.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/loop/tag.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <utility>

namespace example {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::use_awaitable;

// [proxy]
class proxy {
 public:
  explicit proxy(std::string const& backends)
      : loop_(std::make_unique<millrace::cq_port>(builder_.AddCompletionQueue())),
        pool_(loop_, {.target = backends}),
        client_(pool_) {
    builder_.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder_.RegisterAsyncGenericService(&service_);
    server_ = builder_.BuildAndStart();
    co_spawn(loop_, accept(), asio::detached);
  }

  int port() const { return port_; }
  void run() { loop_.run(); }

  // from any other thread; calls that go on for longer are cut off
  millrace::stop_report stop(std::chrono::seconds grace = 5s) {
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    return loop_.stop(5s);
  }

 private:
  using outbound = millrace::bidi_stream<grpc::ByteBuffer, grpc::ByteBuffer>;

  // a call that came in; gRPC says when it is over, or its caller has gone
  struct inbound {
    explicit inbound(millrace::loop& on) : over(on, millrace::never) {}

    void on_done(millrace::completion) {
      if (context.IsCancelled() && out != nullptr) out->cancel();
      over.cancel();
      is_over = true;
    }

    grpc::GenericServerContext context;
    grpc::GenericServerAsyncReaderWriter stream{&context};
    outbound* out = nullptr;
    bool is_over = false;
    millrace::steady_timer over;
    millrace::tag<&inbound::on_done> done{*this};
  };

  template <class Start>
  auto step(char const* what, Start start) {
    return millrace::async_grpc(loop_, what, std::move(start), use_awaitable);
  }

  asio::awaitable<void> accept() {
    auto& queue = static_cast<grpc::ServerCompletionQueue&>(millrace::completion_queue(loop_));
    for (;;) {
      auto call = std::make_unique<inbound>(loop_);
      loop_.start(call->done, millrace::op_kind::user, "inbound call",
                  [&](void* tag) { call->context.AsyncNotifyWhenDone(tag); });
      if (!co_await step(
              "accept", [&](void* tag) { service_.RequestCall(&call->context, &call->stream, &queue, &queue, tag); })) {
        loop_.retract(call->done);  // of a call that did not come gRPC says nothing
        co_return;                  // the server shuts down
      }
      co_spawn(loop_, forward(std::move(call)), asio::detached);
    }
  }

  asio::awaitable<void> forward(std::unique_ptr<inbound> in) {
    using namespace asio::experimental::awaitable_operators;
    auto const method = millrace::method::unnumbered(in->context.method());
    outbound out = client_.async_stream(
        method, {.deadline = millrace::inbound_deadline(in->context), .metadata = sent_with(in->context)});
    in->out = &out;
    if (in->is_over) out.cancel();
    co_await (requests(*in, out) && responses(*in, out));
    in->out = nullptr;
    millrace::error_code how;
    if (!in->is_over) co_await in->over.async_wait(redirect_error(use_awaitable, how));
  }

  asio::awaitable<void> requests(inbound& in, outbound& out) {
    grpc::ByteBuffer message;
    millrace::error_code over;
    while (!over && co_await step("read", [&](void* tag) { in.stream.Read(&message, tag); })) {
      co_await out.async_write(message, redirect_error(use_awaitable, over));
    }
    out.writes_done();  // if the caller has gone instead, on_done has cancelled it, or will
  }

  asio::awaitable<void> responses(inbound& in, outbound& out) {
    bool begun = false;
    auto const begin = [&] {
      if (std::exchange(begun, true)) return;
      for_each(out.initial_metadata(),
               [&](auto const& key, auto const& value) { in.context.AddInitialMetadata(key, value); });
    };
    while (auto message = co_await out.async_read(use_awaitable)) {
      begin();
      if (!co_await step("write", [&](void* tag) { in.stream.Write(*message, tag); })) out.cancel();
    }
    grpc::Status const status = co_await out.async_finish(use_awaitable);
    begin();
    for_each(out.trailing_metadata(), [&](auto const& key, auto const& value) {
      if (key != "grpc-status-details-bin") in.context.AddTrailingMetadata(key, value);  // the status brings them
    });
    co_await step("finish", [&](void* tag) { in.stream.Finish(status, tag); });  // ends requests() too
  }

  static millrace::metadata_pairs sent_with(grpc::GenericServerContext const& context) {
    millrace::metadata_pairs all;
    for (auto const& [key, value] : context.client_metadata()) {
      std::string name(key.data(), key.size());
      if (name != "user-agent" && !name.starts_with("grpc-"))
        all.emplace_back(name, std::string(value.data(), value.size()));
    }
    return all;
  }

  template <class Visit>
  static void for_each(millrace::metadata_view all, Visit visit) {
    for (std::size_t at = 0; at < all.size(); ++at) visit(std::string(all[at].key), std::string(all[at].value));
  }

  grpc::ServerBuilder builder_;
  millrace::loop loop_;
  millrace::pool pool_;
  millrace::generic_client client_;
  int port_ = 0;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
};
// [end]

}  // namespace example
