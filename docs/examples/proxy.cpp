// SPDX-License-Identifier: Apache-2.0
// Calls through a proxy, which is in proxy.hpp. usage: proxy [HOST:PORT[,HOST:PORT…]]
#include "proxy.hpp"

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <grpcpp/create_channel.h>

#include <thread>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  example::proxy through(argc > 1 ? argv[1] : "localhost:50051");
  std::thread thread([&] { through.run(); });

  // somebody who knows nothing of all this
  auto const stub = millrace::echo::Echo::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(through.port()), grpc::InsecureChannelCredentials()));
  for (char const* const text : {"one", "two", "three"}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 5s);
    millrace::echo::EchoRequest request;
    request.set_text(text);
    millrace::echo::EchoReply reply;
    grpc::Status const status = stub->Say(&context, request, &reply);
    fmt::print("{}\n", status.ok() ? reply.text() : status.error_message());
  }
  fmt::print("{}\n", to_string(through.stop()));
  thread.join();
}
