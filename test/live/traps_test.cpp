// SPDX-License-Identifier: Apache-2.0
// What gRPC's completion queues do to the unwary must not happen to an engine's user; servers that misbehave.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <grpcpp/server_builder.h>

#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;

namespace {

struct outcome {
  rpc_result<EchoReply> reply;
  call_info info;
};

outcome call(std::string const& target, duration timeout = 20s) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = target, .slot = {.dial_timeout = 3s}}};
  call_info info;
  auto reply = call_once(loop, pool, saying("x"), {.timeout = timeout, .info = &info});
  return {std::move(reply), info};
}

/// Compresses what it answers, whatever the client said it understands, and says 5 MiB when asked for "large".
class lavish_server final : public echo::Echo::CallbackService {
 public:
  lavish_server() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~lavish_server() override { server_->Shutdown(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, echo::EchoRequest const* request,
                                echo::EchoReply* reply) override {
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    reply->set_text(request->text() == "large" ? std::string(5 << 20, 'x') : request->text());
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

TEST_CASE("traps: a failed attempt comes back with ok = true, and its status is what counts",
          "[live][traps][T16][T17]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  for (int code = 1; code <= 16; ++code) {
    auto const reply = call_once(loop, {pool, {.retry = {.max_attempts = 1}}},
                                 failing(static_cast<grpc::StatusCode>(code)), {.timeout = 20s});
    REQUIRE(reply.has_error());
    CHECK(reply.error().error_code() == code);
    CHECK(reply.error().error_message() == "as requested");
  }
}

TEST_CASE("traps: what an attempt needs outlives client, pool and cancellation until its tag is back",
          "[live][traps][T18]") {
  echo_server server;
  millrace::loop loop;
  int ended = 0;
  asio::cancellation_signal signal;
  {
    millrace::pool pool{loop, {.target = server.address()}};
    client<Echo> echo(pool);
    auto request = saying(std::string(1000, 'x'));
    request.set_delay_ms(200);
    for (int call = 0; call < 8; ++call) {
      echo.async_call<&Echo::Stub::PrepareAsyncSay>(
          request, {.timeout = 20s, .metadata = {{"x-long", std::string(500, 'y')}}}, [&](auto const& reply) {
            ++ended;
            CHECK(reply.has_error());
          });
    }
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 20s},
                                                  asio::bind_cancellation_slot(signal.slot(), [&](auto const& reply) {
                                                    ++ended;
                                                    CHECK(reply.error().error_code() == grpc::StatusCode::CANCELLED);
                                                  }));
    run_until(loop, "the calls to be at the server", [&] { return server.calls() == 9; });
    signal.emit(asio::cancellation_type::terminal);
    CHECK(ended == 0);
  }
  CHECK(ended == 0);
  loop.run();
  CHECK(ended == 9);
}

TEST_CASE("traps: each attempt is a call of its own with the same metadata, payload and deadline",
          "[live][traps][T20]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto request = failing(grpc::StatusCode::UNAVAILABLE);
  request.set_text(std::string(100'000, 'z'));
  request.set_ok_after_attempts(4);
  auto const reply = call_once(loop, {pool, {.retry = {.max_attempts = 5, .initial_backoff = 40ms}}}, request,
                               {.timeout = 4s, .metadata = {{"x-one", "1"}}});
  INFO(why(reply));
  REQUIRE(reply.has_value());
  CHECK(reply->previous_attempts() == 4);
  CHECK(reply->text() == request.text());
  CHECK(server.calls() == 5);
  CHECK(server.last_sent("x-one") == "1");
  // the deadline is the call's, not begun anew with each attempt: backoffs of 480 ms at least have passed, and on the wire
  // gRPC says again what it said up to 3 % ago
  CHECK(reply->time_left_ms() < 4'000 - 480 + 120);
}

TEST_CASE("traps: no call is without a deadline, at the server too", "[live][traps][T21]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call_once(loop, pool, saying("x"));
  REQUIRE(reply.has_value());
  CHECK(reply->time_left_ms() > 0);
  CHECK(reply->time_left_ms() <= 15'100);  // gRPC rounds what it writes up to 100 ms
  auto forever = call_once(loop, pool, saying("x"), {.timeout = duration::max()});
  CHECK(forever.has_value());
}

TEST_CASE("traps: a response that is no message is INTERNAL", "[live][traps][garbage]") {
  http2_server server([](auto& request) {
    request.headers();
    request.message("\xff\xff\xff\xff not a protobuf message");
    request.trailers({{"grpc-status", "0"}});
  });
  auto const [reply, info] = call(server.address());
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::INTERNAL);
  CHECK(info.attempts == 1);
}

TEST_CASE("traps: OK without a message is INTERNAL", "[live][traps][garbage]") {
  http2_server server([](auto& request) { request.headers({{"grpc-status", "0"}}, true); });
  auto const [reply, info] = call(server.address());
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::INTERNAL);
}

TEST_CASE("traps: bytes that are no gRPC end the call with an error", "[live][traps][garbage]") {
  using script = http2_server::script;
  std::vector<std::pair<char const*, script>> const scripts = {
      {"a frame of an impossible length",
       [](auto& request) { request.raw("\xff\xff\xff\x00\x00\x00\x00\x00\x01 garbage"); }},
      {"a message cut short",
       [](auto& request) {
         request.headers();
         request.data(std::string("\0\0\0\1\0 short", 11));
         request.trailers({{"grpc-status", "0"}});
       }},
      {"a message compressed without having been asked for",
       [](auto& request) {
         request.headers({{"grpc-encoding", "gzip"}});
         request.data(std::string("\1\0\0\0\6\x0a\4text", 11));
         request.trailers({{"grpc-status", "0"}});
       }},
      {"a message with unknown flags",
       [](auto& request) {
         request.headers();
         request.data(std::string("\7\0\0\0\1x", 6));
         request.trailers({{"grpc-status", "0"}});
       }},
      {"a status that is no number",
       [](auto& request) {
         request.headers({{"grpc-status", "fine"}}, true);
       }},
      {"trailers without a status",
       [](auto& request) {
         request.headers();
         request.trailers({{"x-nothing", "here"}});
       }},
      {"a reset stream", [](auto& request) { request.reset(2); }},
      {"a broken header block",
       [](auto& request) { request.raw(http2_server::frame(1, 5, 1, "\xff\xff\xff\xff\xff\xff\xff")); }},
  };
  for (auto const& [what, run] : scripts) {
    INFO(what);
    http2_server server(run);
    auto const [reply, info] = call(server.address(), 2s);
    REQUIRE(reply.has_error());
    CHECK(reply.error().error_code() != grpc::StatusCode::OK);
    CHECK(info.attempts >= 1);
    CHECK(info.attempts <= 3);
  }
}

TEST_CASE("traps: a server that speaks something else is unavailable, and the call says so",
          "[live][traps][garbage][T9]") {
  http2_server server([](auto&) {}, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
  auto const [reply, info] = call(server.address());
  REQUIRE(reply.has_error());
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains(server.address()));
  CHECK(info.attempts == 0);
}

TEST_CASE("traps: a server that compresses without asking is understood, on either stack", "[live][traps]") {
  lavish_server server;
  std::string const text(10'000, 'x');
  for (bool const minimal : {true, false}) {
    INFO("minimal_stack " << minimal);
    millrace::loop loop;
    millrace::pool pool{loop, {.target = server.address(), .minimal_stack = minimal}};
    auto const reply = call_once(loop, pool, saying(text), {.timeout = 20s});
    INFO(why(reply));
    REQUIRE(reply.has_value());
    CHECK(reply->text() == text);
  }
}

TEST_CASE("traps: a response beyond 4 MiB is RESOURCE_EXHAUSTED, and the connection lives on",
          "[live][traps][garbage]") {
  lavish_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1}};
  auto const reply = call_once(loop, pool, saying("large"), {.timeout = 20s});
  REQUIRE(reply.has_error());
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(call_once(loop, pool, saying("small"), {.timeout = 20s}).has_value());
  CHECK(pool.snapshot().slots[0].connections == 1);
}

TEST_CASE("traps: a response that is too large is committed whatever the policy retries", "[live][traps][garbage]") {
  http2_server server([](auto& request) {
    request.headers();
    request.message(saying("more than ten bytes").SerializeAsString());
    request.trailers({{"grpc-status", "0"}});
  });
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_response_bytes = 10}};
  auto const reply =
      call_once(loop, {pool, {.retry = {.retryable = {status_code::unavailable, status_code::resource_exhausted}}}},
                saying("x"), {.timeout = 20s});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(server.requests() == 1);
}
