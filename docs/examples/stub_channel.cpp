// SPDX-License-Identifier: Apache-2.0
// Code that has a generated stub, on a pool. usage: stub_channel [HOST:PORT,…]
#include <millrace/loop/cq_port.hpp>
#include <millrace/pool/pool.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

// [service]
// as it was before there was a pool
class greeter {
 public:
  explicit greeter(std::shared_ptr<grpc::ChannelInterface> channel) : stub_(Echo::NewStub(channel)) {}

  std::string greet(std::string const& name) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 2s);
    EchoRequest request;
    request.set_text("hello " + name);
    EchoReply reply;
    grpc::Status const status = stub_->Say(&context, request, &reply);
    return status.ok() ? reply.text() + ", says " + context.peer() : status.error_message();
  }

 private:
  std::unique_ptr<Echo::Stub> stub_;
};
// [end]

int main(int argc, char** argv) {
  // [pool]
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051", .stub_calls = true}};
  auto channel = pool.stub_channel();       // instead of grpc::CreateChannel
  std::thread thread([&] { loop.run(); });  // runs while somebody has the channel
  // [end]
  {
    // [calls]
    greeter service(channel);
    for (char const* const name : {"Ada", "Grace", "Barbara"}) fmt::print("{}\n", service.greet(name));
    // [end]
  }
  // [end_of_it]
  channel.reset();  // the last one: run returns
  thread.join();
  // [end]
}
