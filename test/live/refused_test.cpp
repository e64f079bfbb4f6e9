// SPDX-License-Identifier: Apache-2.0
// A server that says it has not processed a stream, and a call that must not run twice: who repeats it, and when.
#include <support/call_once.hpp>
#include <support/http2_server.hpp>

#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <utility>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t refused_stream = 7;
constexpr std::uint32_t cancel = 8;

void answer(http2_server::exchange& to) {
  to.headers();
  to.message(saying("done").SerializeAsString());
  to.trailers({{"grpc-status", "0"}});
}

struct outcome {
  rpc_result<echo::EchoReply> reply;
  call_info info;
};

outcome call_to(pool_params const& params, unsigned max_attempts) {
  millrace::loop loop;
  millrace::pool pool{loop, params};
  client<echo::Echo> echo{pool, {.retry = {.max_attempts = max_attempts}}};
  call_info info;
  auto reply = call_once(loop, echo, saying("x"), {.timeout = 20s, .info = &info});
  return {std::move(reply), info};
}

/// Of a call without retries.
outcome call_that_may_run_once(http2_server& server, transparent_retry who) {
  return call_to({.target = server.address(), .transparent_retry = who}, 1);
}

http2_server::script first_refused() {
  return
      [](http2_server::exchange& request) { request.number() == 1 ? request.reset(refused_stream) : answer(request); };
}

// GOAWAY without this stream, and the connection stays for a moment: nobody tells by its end
http2_server::script first_left_out() {
  return [](http2_server::exchange& request) {
    if (request.number() > 1) return answer(request);
    request.go_away(0);
  };
}

}  // namespace

TEST_CASE("refused: the engine goes by the policy when a server refuses a stream", "[live][refused]") {
  http2_server server(first_refused());
  auto const [reply, info] = call_that_may_run_once(server, transparent_retry::engine);
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(server.requests() == 1);
}

TEST_CASE("refused: nor does gRPC's core repeat it, in 1.51", "[live][refused]") {
  http2_server server(first_refused());
  auto const [reply, info] = call_that_may_run_once(server, transparent_retry::core);
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(server.requests() == 1);
}

TEST_CASE("refused: the engine goes by the policy when a GOAWAY leaves a stream out", "[live][refused]") {
  http2_server server(first_left_out());
  auto const [reply, info] = call_that_may_run_once(server, transparent_retry::engine);
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(server.requests() == 1);
}

TEST_CASE("refused: gRPC's core repeats a stream that a GOAWAY left out, unseen", "[live][refused]") {
  http2_server server(first_left_out());
  auto const [reply, info] = call_that_may_run_once(server, transparent_retry::core);
  INFO(why(reply));
  CHECK(reply.has_value());
  CHECK(info.attempts == 1);
  CHECK(server.requests() == 2);
}

TEST_CASE("trap T24: a retry policy in channel_args is not for gRPC's core, so attempts do not multiply",
          "[live][refused][T24]") {
  auto args = std::make_shared<grpc::ChannelArguments>();
  args->SetInt("grpc.enable_retries", 1);
  args->SetServiceConfigJSON(R"({"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff":
    "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]})");
  http2_server server([](http2_server::exchange& request) { request.headers({{"grpc-status", "14"}}, true); });
  auto const who = GENERATE(transparent_retry::engine, transparent_retry::core);
  int const attempts = GENERATE(1, 3);
  bool const minimal = GENERATE(true, false);
  CAPTURE(who == transparent_retry::core, attempts, minimal);
  auto const [reply, info] =
      call_to({.target = server.address(), .minimal_stack = minimal, .transparent_retry = who, .channel_args = args},
              static_cast<unsigned>(attempts));
  CHECK_FALSE(reply.has_value());
  CHECK(info.attempts == static_cast<unsigned>(attempts));
  CHECK(server.requests() == attempts);
}

TEST_CASE("refused: nobody repeats a stream that the server merely reset", "[live][refused]") {
  auto const who = GENERATE(transparent_retry::engine, transparent_retry::core);
  http2_server server([](http2_server::exchange& request) { request.reset(cancel); });
  auto const [reply, info] = call_that_may_run_once(server, who);
  CHECK_FALSE(reply.has_value());
  CHECK(server.requests() == 1);
}

TEST_CASE("refused: nobody repeats what was on a connection that is lost", "[live][refused]") {
  auto const who = GENERATE(transparent_retry::engine, transparent_retry::core);
  http2_server server([](http2_server::exchange& request) { request.cut(); });
  auto const [reply, info] = call_that_may_run_once(server, who);
  CHECK_FALSE(reply.has_value());
  CHECK(server.requests() == 1);
}

TEST_CASE("refused: a policy repeats either, as what may have run", "[live][refused]") {
  http2_server server(first_refused());
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  call_info info;
  auto const reply = call_once(loop, pool, saying("x"), {.timeout = 20s, .info = &info});
  INFO(why(reply));
  CHECK(reply.has_value());
  CHECK(info.attempts == 2);
}
