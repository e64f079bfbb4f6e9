// SPDX-License-Identifier: Apache-2.0
// One call by a plain stub, for bench-footprint to time from the process's start. usage: footprint-start-stub HOST:PORT
#include <echo.grpc.pb.h>

#include <grpcpp/create_channel.h>

#include <chrono>
#include <cstdio>

int main(int, char** argv) {
  using millrace::echo::Echo;
  auto const stub = Echo::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  millrace::echo::EchoReply reply;
  if (!stub->Say(&context, {}, &reply).ok()) return 1;
  std::puts("answered");
  std::fflush(stdout);
  return 0;
}
