// SPDX-License-Identifier: Apache-2.0
// One call by millrace, for bench-footprint to time from the process's start. usage: footprint-start-millrace HOST:PORT
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>

#include <cstdio>

int main(int, char** argv) {
  using namespace std::chrono_literals;
  using millrace::echo::Echo;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argv[1]}};
  millrace::client<Echo> echo(pool);
  int status = 1;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>({}, {.timeout = 10s},
                                                [&](millrace::rpc_result<millrace::echo::EchoReply> reply) {
                                                  if (!reply) return;
                                                  std::puts("answered");
                                                  std::fflush(stdout);
                                                  status = 0;
                                                });
  loop.run();
  return status;
}
