// SPDX-License-Identifier: Apache-2.0
// Several loops in one program, each with connections of its own. usage: group [HOST:PORT]
#include <millrace/call/client.hpp>
#include <millrace/loop/loop_group.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/use_future.hpp>

#include <deque>
#include <future>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

int main(int argc, char** argv) {
  std::string const target = argc > 1 ? argv[1] : "localhost:50051";
  // [group]
  millrace::loop_group group{{.size = 2}};
  std::deque<millrace::pool> pools;
  std::vector<millrace::client<Echo>> echo;
  for (millrace::loop& loop : group) {
    pools.emplace_back(loop, millrace::pool_params{.target = target});
    echo.emplace_back(pools.back());
  }
  group.start();  // from here on each pool belongs to its loop's thread

  std::vector<std::future<millrace::rpc_result<EchoReply>>> answers;
  for (std::size_t n = 0; n < 10; ++n) {
    EchoRequest request;
    request.set_text("call " + std::to_string(n));
    auto& client = echo[n % echo.size()];
    answers.push_back(client.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s}, asio::use_future));
  }
  for (auto& one : answers) {
    auto reply = one.get();
    fmt::print("{}\n", reply ? reply->text() : reply.error().error_message());
  }

  fmt::print("{}\n", to_string(group.stop(5s)));  // the threads have ended: pools may go
  // rethrows what a handler threw
  group.join();
  // [end]
}
