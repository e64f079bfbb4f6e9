// SPDX-License-Identifier: Apache-2.0
// millrace-plain: echo.proto's Say by an asynchronous server as gRPC's own example has it
// (examples/cpp/helloworld/greeter_async_server.cc), to compare millrace-embedded with.
#include "port.hpp"

#include <echo.grpc.pb.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

namespace {

using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

constexpr auto name = "millrace-plain";

class call {
 public:
  call(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue) : service_(service), queue_(queue) {
    service_.RequestSay(&context_, &request_, &responder_, &queue_, &queue_, this);
  }

  void proceed() {
    if (answered_) {
      delete this;
      return;
    }
    new call(service_, queue_);
    reply_.set_text(request_.text());
    answered_ = true;
    responder_.Finish(reply_, grpc::Status::OK, this);
  }

 private:
  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  grpc::ServerContext context_;
  EchoRequest request_;
  EchoReply reply_;
  grpc::ServerAsyncResponseWriter<EchoReply> responder_{&context_};
  bool answered_ = false;
};

bool serve(std::string const& address, bool) {
  Echo::AsyncService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto const queue = builder.AddCompletionQueue();
  auto const server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return false;
  millrace::embedded::say_listening(name, port);
  new call(service, *queue);
  void* tag = nullptr;
  bool ok = false;
  // not ok: the client gave up
  while (queue->Next(&tag, &ok)) static_cast<call*>(tag)->proceed();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  return millrace::embedded::run({.name = name,
                                  .what = "Answers echo.proto's Say as gRPC's example of an asynchronous server does.",
                                  .serve = serve},
                                 argc, argv);
}
