// SPDX-License-Identifier: Apache-2.0
// Several calls at once, limits of time, and what errors say. usage: batches [HOST:PORT]
#include <millrace/call/batch.hpp>
#include <millrace/call/client.hpp>
#include <millrace/call/error_details.hpp>
#include <millrace/call/with_timeout.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <google/protobuf/duration.pb.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

namespace {

EchoRequest saying(char const* text) {
  EchoRequest request;
  request.set_text(text);
  return request;
}

// [batches]
constexpr auto say = &Echo::Stub::PrepareAsyncSay;

asio::awaitable<void> all_and_any(millrace::client<Echo> echo) {
  auto const [one, two] =
      co_await millrace::async_all(echo.async_call<say>(saying("one")), echo.async_call<say>(saying("two")));
  if (one && two) fmt::print("{} and {}\n", one->text(), two->text());

  auto const any =
      co_await millrace::async_any(echo.async_call<say>(saying("three")), echo.async_call<say>(saying("three")));
  if (any.winner) fmt::print("any: {}\n", any.results[*any.winner]->text());
}
// [end]

// [with_timeout]
asio::awaitable<void> in_time(millrace::loop& loop, millrace::pool& pool) {
  co_await millrace::with_timeout(loop, 5s, pool.async_ready({}));  // throws errc::timed_out otherwise
  fmt::print("ready\n");
}
// [end]

// [error_details]
void explain(millrace::rpc_result<EchoReply> const& failed) {
  millrace::error_details const details(failed.error());
  if (auto const wait = details.find<google::protobuf::Duration>()) fmt::print("again in {} s\n", wait->seconds());
}
// [end]

}  // namespace

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};
  co_spawn(loop, in_time(loop, pool), asio::detached);
  co_spawn(loop, all_and_any(pool), asio::detached);
  explain(millrace::rpc_result<EchoReply>(grpc::Status(grpc::StatusCode::UNAVAILABLE, "for the moment")));
  loop.run();
}
