// SPDX-License-Identifier: Apache-2.0
// A user's calls to one server of several, for the sake of its cache. usage: hashing HOST:PORT,HOST:PORT,…
#include <millrace/balance/maglev.hpp>
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <random>
#include <string>

namespace asio = boost::asio;
namespace balance = millrace::balance;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

asio::awaitable<void> call_for_each(millrace::client<Echo> echo, millrace::pool& pool) {
  co_await pool.async_ready({.min_ready = 1});
  EchoRequest request;
  for (std::string const user : {"ada", "grace", "ada", "grace"}) {
    request.set_text(user);
    // [call]
    auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s, .hash_key = user});
    // [end]
    fmt::print("{}: {}\n", user, reply ? reply->text() : reply.error().error_message());
  }
}

int main(int argc, char** argv) {
  millrace::loop loop;
  // [pool]
  millrace::pool pool{
      loop,
      {.target = argc > 1 ? argv[1] : "localhost:50051,localhost:50052,localhost:50053", .make_picker = [] {
         return balance::any_picker{balance::maglev{std::random_device{}(), {.table_size = 4099, .load_bound = 1.5}}};
       }}};
  // [end]
  co_spawn(loop, call_for_each(pool, pool), asio::detached);
  loop.run();
}
