// SPDX-License-Identifier: Apache-2.0
// One call, from a coroutine. usage: hello [HOST:PORT]
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// [hello]
asio::awaitable<void> hello(millrace::client<Echo> echo) {
  EchoRequest request;
  request.set_text("hello");
  auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 200ms});
  fmt::print("{}\n", reply ? reply->text() : reply.error().error_message());
}

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051", .max_slots = 4}};
  co_spawn(loop, hello(pool), asio::detached);
  loop.run();
}
// [end]
