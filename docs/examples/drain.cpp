// SPDX-License-Identifier: Apache-2.0
// Calls until SIGTERM or SIGINT, then lets those in flight finish. usage: drain [HOST:PORT]
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

namespace {

struct tally {
  bool stopping = false;
  unsigned answered = 0;
  unsigned failed = 0;
};

void announce() {
  fmt::print("calling; SIGTERM drains\n");
  std::fflush(stdout);
}

asio::awaitable<void> work(millrace::client<Echo> echo, tally& count) {
  while (!count.stopping) {
    auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(EchoRequest{}, {.timeout = 2s});
    ++(reply ? count.answered : count.failed);
    if (count.answered + count.failed == 1) announce();
  }
}

// [drain]
asio::awaitable<void> drain_on_signal(asio::signal_set& signals, millrace::pool& pool, tally& count) {
  co_await signals.async_wait(asio::deferred);
  count.stopping = true;  // no new calls from here on
  auto [error] = co_await pool.async_drain(5s, asio::as_tuple(asio::deferred));
  fmt::print("drained: {}; {} calls failed\n", error ? error.message() : "every call finished", count.failed);
}
// [end]

}  // namespace

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  tally count;
  for (int n = 0; n < 4; ++n) co_spawn(loop, work(pool, count), asio::detached);
  co_spawn(loop, drain_on_signal(signals, pool, count), asio::detached);
  loop.run();
}
