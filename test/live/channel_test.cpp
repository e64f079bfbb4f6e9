// SPDX-License-Identifier: Apache-2.0
// What the engine does on its channels in gRPC's place: message sizes, deadlines, write coalescing.
#include <millrace/call/client.hpp>
#include <millrace/pool/turn_cork.hpp>

#include <support/catch.hpp>
#include <support/echo_server.hpp>

#include <boost/asio/post.hpp>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

namespace {

rpc_result<EchoReply> say(millrace::loop& loop, client<Echo> echo, std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  std::optional<rpc_result<EchoReply>> answer;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 20s},
                                                [&](rpc_result<EchoReply> reply) { answer = std::move(reply); });
  loop.run();
  REQUIRE(answer);
  return std::move(*answer);
}

/// Keeps `depth` calls in flight until `total` are done. Returns how many were answered with their own text.
int flood(millrace::loop& loop, client<Echo>& echo, int depth, int total) {
  int started = 0;
  int good = 0;
  std::function<void()> next = [&] {
    if (started == total) return;
    EchoRequest request;
    request.set_text(std::to_string(started++));
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 20s},
                                                  [&, text = request.text()](rpc_result<EchoReply> reply) {
                                                    good += reply && reply->text() == text;
                                                    next();
                                                  });
  };
  for (int at = 0; at < depth; ++at) next();
  loop.run();
  return good;
}

}  // namespace

TEST_CASE("live: a response over the limit is RESOURCE_EXHAUSTED, one at it is not", "[live][size]") {
  for (bool const minimal : {true, false}) {
    test::echo_server server;
    millrace::loop loop;
    millrace::pool pool{loop, {.target = server.address(), .max_response_bytes = 1000, .minimal_stack = minimal}};
    CHECK(say(loop, pool, std::string(900, 'x')).has_value());
    auto const reply = say(loop, pool, std::string(2000, 'x'));
    REQUIRE(reply.has_error());
    CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK_THAT(reply.error().error_message(), Catch::StartsWith("Received message larger than max ("));
    CHECK_THAT(reply.error().error_message(), Catch::EndsWith(" vs. 1000)"));
  }
}

TEST_CASE("live: the default limit of a response is gRPC's 4 MiB", "[live][size]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  CHECK(say(loop, pool, std::string(4'000'000, 'x')).has_value());
}

TEST_CASE("live: a request over the limit is refused before it is sent, and not retried", "[live][size]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_request_bytes = 1000}};
  auto const reply = say(loop, pool, std::string(2000, 'x'));
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK_THAT(reply.error().error_message(), Catch::StartsWith("Sent message larger than max ("));
  CHECK(server.calls() == 0);
}

TEST_CASE("live: deep turns are corked, none is left so, and every call is answered", "[live][cork]") {
  if (!can_tap_sockets()) return;
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1}};
  client<Echo> echo(pool);
  CHECK(flood(loop, echo, 64, 3000) == 3000);
  coalescing_stats const stats = pool.snapshot().slots[0].coalescing;
  CHECK(stats.corks > 0);
  CHECK_FALSE(stats.corked);
  CHECK(stats.longest < 1s);
}

TEST_CASE("live: shallow load and cork = false never cork", "[live][cork]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool off{loop, {.target = server.address(), .max_slots = 1, .cork = false}};
  client<Echo> plain(off);
  CHECK(flood(loop, plain, 64, 500) == 500);
  CHECK(off.snapshot().slots[0].coalescing.corks == 0);
  millrace::pool shallow{loop, {.target = server.address(), .max_slots = 1}};
  client<Echo> few(shallow);
  CHECK(flood(loop, few, 8, 500) == 500);
  CHECK(shallow.snapshot().slots[0].coalescing.corks == 0);
}

TEST_CASE("live: an exception from a handler leaves no cork on", "[live][cork]") {
  if (!can_tap_sockets()) return;
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .cork_rule = {.min_in_flight = 1}}};
  client<Echo> echo(pool);
  REQUIRE(say(loop, echo, "connected").has_value());
  int answered = 0;
  boost::asio::post(loop, [&] {
    EchoRequest request;
    for (int at = 0; at < 8; ++at) {
      echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {}, [&](rpc_result<EchoReply> reply) {
        answered += reply.has_value();
        if (answered == 1) throw std::runtime_error("from a handler");
      });
    }
  });
  CHECK_THROWS_AS(loop.run(), std::runtime_error);
  CHECK_FALSE(pool.snapshot().slots[0].coalescing.corked);
  loop.run();
  CHECK(answered == 8);
  CHECK(pool.snapshot().slots[0].coalescing.corks > 0);
}
