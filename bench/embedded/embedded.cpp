// SPDX-License-Identifier: Apache-2.0
// millrace-embedded: the same as millrace-plain with the server's completion queue under a millrace loop, and its replies
// coalesced.
#include "port.hpp"

#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/server/server_cork.hpp>

#include <echo.grpc.pb.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

namespace {

using namespace millrace;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

constexpr auto name = "millrace-embedded";

struct service {
  millrace::loop& loop;
  grpc::ServerCompletionQueue& queue;
  server_cork& cork;
  Echo::AsyncService echo{};
};

class call {
 public:
  explicit call(service& of) : service_(of) {
    service_.loop.start(event_, op_kind::user, "Say", [this](void* tag) {
      service_.echo.RequestSay(&context_, &request_, &responder_, &service_.queue, &service_.queue, tag);
    });
  }

 private:
  void on_event(completion how) {
    if (answered_ || how != completion::ok) {
      delete this;
      return;
    }
    new call(service_);
    reply_.set_text(request_.text());
    answered_ = true;
    service_.cork.before_reply(context_);
    service_.loop.start(event_, op_kind::user, "Say",
                        [this](void* tag) { responder_.Finish(reply_, grpc::Status::OK, tag); });
  }

  service& service_;
  grpc::ServerContext context_;
  EchoRequest request_;
  EchoReply reply_;
  grpc::ServerAsyncResponseWriter<EchoReply> responder_{&context_};
  bool answered_ = false;
  tag<&call::on_event> event_{*this};
};

bool serve(std::string const& address, bool cork) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  millrace::loop loop(std::make_unique<cq_port>(builder.AddCompletionQueue()));
  server_cork coalescing(loop);
  service one{loop, static_cast<grpc::ServerCompletionQueue&>(completion_queue(loop)), coalescing};
  builder.RegisterService(&one.echo);
  if (cork) coalescing.install(builder);
  auto const server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return false;
  embedded::say_listening(name, port);
  new call(one);
  loop.run();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  return embedded::run(
      {.name = name, .what = "Answers echo.proto's Say from a millrace loop.", .may_cork = true, .serve = serve}, argc,
      argv);
}
