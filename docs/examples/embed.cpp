// SPDX-License-Identifier: Apache-2.0
// The loop on a thread of its own, in a program that has a main thread with other things to do. usage: embed [HOST:PORT]
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

int main(int argc, char** argv) {
  // [embed]
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};
  millrace::client<Echo> echo(pool);
  auto work = asio::make_work_guard(loop);  // run does not return while there is nothing to do
  std::thread thread([&] { loop.run(); });

  EchoRequest request;
  request.set_text("hello from main");
  auto answer = echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s}, asio::use_future);
  auto reply = answer.get();  // any thread may start a call; only the loop's must not wait for one
  fmt::print("{}\n", reply ? reply->text() : reply.error().error_message());

  // what is not marked "any thread" is done on the loop
  auto ready = asio::post(loop, asio::use_future([&] { return pool.ready(); }));
  fmt::print("{} connection\n", ready.get());

  work.reset();
  millrace::stop_report const report = loop.stop(5s);
  thread.join();
  fmt::print("{}\n", to_string(report));
  // [end]
}
