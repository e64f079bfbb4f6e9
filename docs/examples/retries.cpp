// SPDX-License-Identifier: Apache-2.0
// A retry policy, hedges, the time of an attempt, a rule, and what became of each call. usage: retries [HOST:PORT]
// Wants a server that fails some calls: millrace-echo --port 50051 --fail-rate 0.3
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::status_code;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// [call]
asio::awaitable<void> ten_calls(millrace::client<Echo> echo) {
  unsigned failed = 0;
  for (int n = 1; n <= 10; ++n) {
    EchoRequest request;
    request.set_text("call " + std::to_string(n));
    millrace::call_info info;
    auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 2s, .info = &info});
    fmt::print("{}: {} attempt(s), the last on {} slot {}, {} µs\n", request.text(), info.attempts, info.endpoint,
               info.slot.value_or(0), info.elapsed / 1us);
    if (!reply) ++failed;
  }
  fmt::print("{} of 10 calls failed\n", failed);
}
// [end]

// [override]
// what a single call goes by; it outlives the calls that it is given to
millrace::retry::retry_policy const once{.max_attempts = 1};

asio::awaitable<void> no_second_try(millrace::client<Echo> echo) {
  auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>({}, {.timeout = 2s, .retry = &once});
  fmt::print("at once: {}\n", reply ? "answered" : reply.error().error_message());
}
// [end]

// [rule]
// a server that is full says for how long, in a trailer of its own
std::optional<millrace::duration> when_there_is_room(millrace::retry::failed_attempt const& after) {
  if (after.code != status_code::resource_exhausted || after.elapsed > 1s) return std::nullopt;
  auto const wait = after.trailers.find("retry-in-ms");
  return std::chrono::milliseconds(wait ? std::stoi(std::string(*wait)) : 20);
}
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  // [policy]
  millrace::pool pool{loop,
                      {.target = argc > 1 ? argv[1] : "localhost:50051",
                       // retries may add a tenth to the load, and five a second when there is little of it
                       .budget = {.percent = 0.1, .min_per_second = 5}}};
  millrace::client<Echo> echo(pool, {.retry = {.max_attempts = 5,
                                               .initial_backoff = 10ms,
                                               .max_backoff = 200ms,
                                               .retryable = {status_code::unavailable, status_code::aborted}}});
  // [end]
  // [hedging]
  millrace::client<Echo> quick(pool, {.hedging = {{.delay = 20ms}}, .idempotent = true});
  // [end]
  // [patience]
  millrace::client<Echo> impatient(pool, {.retry = {.per_attempt_timeout = 100ms}});
  // [end]
  // [own]
  millrace::client<Echo> polite(pool, {.retry = {.max_attempts = 4, .rule = when_there_is_room}});
  // [end]
  for (auto const& one : {echo, quick, impatient, polite}) co_spawn(loop, ten_calls(one), asio::detached);
  co_spawn(loop, no_second_try(echo), asio::detached);
  loop.run();
}
