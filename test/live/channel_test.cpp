// SPDX-License-Identifier: Apache-2.0
// What the engine does on its channels in gRPC's place: message sizes, deadlines.
#include <millrace/call/client.hpp>

#include <support/catch.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <future>
#include <memory>
#include <optional>
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

TEST_CASE("live: channelz does not list a pool's channels unless their arguments ask for it", "[live][channel]") {
  auto const listed = [](std::string const& address) {
    char* const text = grpc_channelz_get_top_channels(0);
    bool const found = std::string(text).find(address) != std::string::npos;
    gpr_free(text);
    return found;
  };
  test::echo_server server;
  millrace::loop loop;
  {
    millrace::pool pool{loop, {.target = server.address()}};
    CHECK(say(loop, pool, "x").has_value());
    CHECK_FALSE(listed(server.address()));
  }
  auto const args = std::make_shared<grpc::ChannelArguments>();
  args->SetInt(GRPC_ARG_ENABLE_CHANNELZ, 1);
  millrace::pool pool{loop, {.target = server.address(), .channel_args = args}};
  CHECK(say(loop, pool, "x").has_value());
  CHECK(listed(server.address()));
}

TEST_CASE("live: the default limit of a response is gRPC's 4 MiB", "[live][size][T38]") {
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

TEST_CASE("live: a peer that falls silent under a call is given up by keepalive, long before the deadline",
          "[live][channel][T30]") {
  std::promise<void> end;
  test::http2_server server(
      [over = end.get_future().share()](auto&) { over.wait(); });  // reads nothing more, no PING either
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .keepalive = {.time = 100ms, .timeout = 100ms}}};
  auto const reply = say(loop, client<Echo>(pool, {.retry = {.max_attempts = 1}}), "x");
  end.set_value();
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains("keepalive"));
}
