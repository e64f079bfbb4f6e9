// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/call_kind.hpp>
#include <millrace/pool/method.hpp>

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/codegen/call.h>
#include <grpcpp/impl/codegen/channel_interface.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <memory>
#include <string>

namespace millrace {

namespace detail {

/// A channel on which no call can be made: it reports which method was asked for. The generated stubs keep their method
/// names to themselves, so the only way from `&Echo::Stub::PrepareAsyncSay` to its name is to ask for the call and look.
class asking_channel final : public grpc::ChannelInterface {
 public:
  struct asked {
    std::string path;
  };

  grpc_connectivity_state GetState(bool) override { return GRPC_CHANNEL_SHUTDOWN; }

 private:
  grpc::internal::Call CreateCall(grpc::internal::RpcMethod const& method, grpc::ClientContext*,
                                  grpc::CompletionQueue*) override {
    throw asked{method.name()};
  }
  void PerformOpsOnCall(grpc::internal::CallOpSetInterface*, grpc::internal::Call*) override {}
  void* RegisterMethod(char const*) override { return nullptr; }
  void NotifyOnStateChangeImpl(grpc_connectivity_state, gpr_timespec, grpc::CompletionQueue*, void*) override {}
  bool WaitForStateChangeImpl(grpc_connectivity_state, gpr_timespec) override { return false; }
};

/// The name of the method whose call `ask(stub, context)` prepares.
template <class Stub, class Ask>
std::string asked_path(Ask ask) {
  Stub stub(std::make_shared<asking_channel>());
  grpc::ClientContext context;
  try {
    ask(stub, &context);
  } catch (asking_channel::asked const& answer) {
    return answer.path;
  }
  return {};
}

}  // namespace detail

/// What a generated `&Service::Stub::PrepareAsyncMethod` stands for.
template <auto PrepareAsync>
struct method_of;

template <class Stub, class Request, class Response,
          std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*PrepareAsync)(
              grpc::ClientContext*, Request const&, grpc::CompletionQueue*)>
struct method_of<PrepareAsync> {
  using request_type = Request;
  using response_type = Response;
  static constexpr call_kind kind = call_kind::unary;

  static method const& get() {
    static method const& known = method::numbered(detail::asked_path<Stub>(
        [](Stub& stub, grpc::ClientContext* context) { (stub.*PrepareAsync)(context, Request{}, nullptr); }));
    return known;
  }
};

template <class Stub, class Request, class Response,
          std::unique_ptr<grpc::ClientAsyncReader<Response>> (Stub::*PrepareAsync)(grpc::ClientContext*, Request const&,
                                                                                   grpc::CompletionQueue*)>
struct method_of<PrepareAsync> {
  using request_type = Request;
  using response_type = Response;
  static constexpr call_kind kind = call_kind::server_stream;

  static method const& get() {
    static method const& known = method::numbered(detail::asked_path<Stub>(
        [](Stub& stub, grpc::ClientContext* context) { (stub.*PrepareAsync)(context, Request{}, nullptr); }));
    return known;
  }
};

template <class Stub, class Request, class Response,
          std::unique_ptr<grpc::ClientAsyncWriter<Request>> (Stub::*PrepareAsync)(grpc::ClientContext*, Response*,
                                                                                  grpc::CompletionQueue*)>
struct method_of<PrepareAsync> {
  using request_type = Request;
  using response_type = Response;
  static constexpr call_kind kind = call_kind::client_stream;

  static method const& get() {
    static method const& known = method::numbered(detail::asked_path<Stub>(
        [](Stub& stub, grpc::ClientContext* context) { (stub.*PrepareAsync)(context, nullptr, nullptr); }));
    return known;
  }
};

template <class Stub, class Request, class Response,
          std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>> (Stub::*PrepareAsync)(
              grpc::ClientContext*, grpc::CompletionQueue*)>
struct method_of<PrepareAsync> {
  using request_type = Request;
  using response_type = Response;
  static constexpr call_kind kind = call_kind::bidi_stream;

  static method const& get() {
    static method const& known = method::numbered(detail::asked_path<Stub>(
        [](Stub& stub, grpc::ClientContext* context) { (stub.*PrepareAsync)(context, nullptr); }));
    return known;
  }
};

}  // namespace millrace
