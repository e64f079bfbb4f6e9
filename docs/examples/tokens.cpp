// SPDX-License-Identifier: Apache-2.0
// The same call with a callback, a future, a coroutine, and cancelled. usage: tokens [HOST:PORT]
// Wants a server that takes 200 ms for an answer: millrace-echo --port 50051 --delay 200ms
#include <millrace/call/client.hpp>
#include <millrace/loop/steady_timer.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

// [race]
asio::awaitable<void> race(millrace::client<Echo> echo, EchoRequest request, millrace::loop& loop) {
  using namespace asio::experimental::awaitable_operators;
  millrace::steady_timer timer(loop, 20ms);
  auto first = co_await (echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {}, asio::use_awaitable) ||
                         timer.async_wait(asio::use_awaitable));
  fmt::print("coroutine: {} came first\n", first.index() == 0 ? "the answer" : "the timer");
}
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};
  millrace::client<Echo> echo(pool);
  EchoRequest request;
  request.set_text("hello");

  // [callback]
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s}, [](millrace::rpc_result<EchoReply> reply) {
    fmt::print("callback: {}\n", reply ? reply->text() : reply.error().error_message());
  });
  // [end]

  // [future]
  std::future<millrace::rpc_result<EchoReply>> future =
      echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s}, asio::use_future);
  // [end]

  // [cancellation]
  asio::cancellation_signal stop;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(
      request, {.timeout = 2s}, asio::bind_cancellation_slot(stop.slot(), [](millrace::rpc_result<EchoReply> reply) {
        fmt::print("cancelled: {}\n", reply ? "too late" : reply.error().error_message());
      }));
  millrace::steady_timer timer(loop, 50ms);
  timer.async_wait([&](millrace::error_code) { stop.emit(asio::cancellation_type::terminal); });
  // [end]

  co_spawn(loop, race(echo, request, loop), asio::detached);
  loop.run();
  fmt::print("future: {}\n", future.get().value().text());
}
