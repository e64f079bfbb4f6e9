// SPDX-License-Identifier: Apache-2.0
// What calls tell beside their results, and calls put together.
#include <millrace/call/batch.hpp>
#include <millrace/call/deadline.hpp>
#include <millrace/call/error_details.hpp>
#include <millrace/call/with_timeout.hpp>

#include <support/call_once.hpp>
#include <support/echo_server.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <grpcpp/create_channel.h>

#include <sys/wait.h>
#include <unistd.h>

#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

namespace {

constexpr auto say = &Echo::Stub::PrepareAsyncSay;

std::string_view value_of(metadata_pairs const& all, std::string_view key) {
  for (auto const& [name, value] : all) {
    if (name == key) return value;
  }
  return {};
}

EchoRequest slow(std::string const& text, std::int32_t ms) {
  EchoRequest request = saying(text);
  request.set_delay_ms(ms);
  return request;
}

EchoRequest failing() {
  EchoRequest request = saying("x");
  request.set_code(grpc::StatusCode::FAILED_PRECONDITION);
  return request;
}

/// Runs a coroutine to its end; what it throws comes out.
template <class Coroutine>
void run(loop& on, Coroutine coroutine) {
  std::exception_ptr thrown;
  asio::co_spawn(on, std::move(coroutine), [&](std::exception_ptr how) { thrown = how; });
  on.run();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

TEST_CASE("trap T32: call_info has what the last attempt brought from the server", "[live][T32]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  std::string const binary("\0\xff\n", 3);
  call_info info;
  info.initial_metadata = info.trailing_metadata = {{"stale", "1"}};
  info.peer = "stale";

  SECTION("of a call that succeeds") {
    EchoRequest request = saying("x");
    request.set_headers_first(true);
    REQUIRE(call_once(loop, pool, request, {.metadata = {{"x-trailer-bin", binary}}, .info = &info}).has_value());
    CHECK(value_of(info.initial_metadata, "x-headers") == "first");
    CHECK(value_of(info.trailing_metadata, "x-trailer-bin") == binary);
    CHECK(value_of(info.trailing_metadata, "grpc-status").empty());
    CHECK(info.peer == "ipv4:" + server.address());
  }
  SECTION("of one that fails, after a retry: the last attempt's") {
    EchoRequest request = saying("x");
    request.set_code(grpc::StatusCode::UNAVAILABLE);
    request.set_pushback("1");
    REQUIRE(call_once(loop, pool, request, {.metadata = {{"x-trailer-bin", "t"}}, .info = &info}).has_error());
    CHECK(info.attempts == 3);
    CHECK(value_of(info.trailing_metadata, "grpc-retry-pushback-ms") == "1");
    CHECK(std::ranges::count(info.trailing_metadata, std::pair(std::string("x-trailer-bin"), std::string("t"))) == 1);
    CHECK(info.peer == "ipv4:" + server.address());
  }
  SECTION("of one that reached nobody: nothing") {
    server.stop();
    REQUIRE(call_once(loop, pool, saying("x"), {.timeout = 1s, .info = &info}).has_error());
    CHECK(info.initial_metadata.empty());
    CHECK(info.trailing_metadata.empty());
    CHECK(info.peer.empty());
  }
}

TEST_CASE("error_details: what a server says beside code and text", "[live]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  google::protobuf::Duration wait;
  wait.set_seconds(7);

  auto const answered_with = [&](std::string details) {
    return call_once(loop, pool, failing(), {.metadata = {{"x-details-bin", std::move(details)}}}).error();
  };
  // field 3 of google.rpc.Status, by hand: its proto is in no package
  auto const detail = [](google::protobuf::Message const& message) {
    google::protobuf::Any any;
    any.PackFrom(message);
    std::string const bytes = any.SerializeAsString();
    return "\x1a" + std::string(1, static_cast<char>(bytes.size())) + bytes;
  };

  SECTION("is found by its type") {
    error_details const details(
        answered_with("\x08\x09\x12\x02no" + detail(google::protobuf::Struct()) + detail(wait)));
    CHECK(details.all().size() == 2);
    REQUIRE(details.find<google::protobuf::Duration>());
    CHECK(details.find<google::protobuf::Duration>()->seconds() == 7);
    CHECK(details.find<google::protobuf::Struct>());
    CHECK_FALSE(details.find<google::protobuf::Value>());
  }
  SECTION("and nothing else is") {
    CHECK(error_details(answered_with("")).empty());
    CHECK(error_details(answered_with("\xff\xff\xff")).empty());
    CHECK(error_details(answered_with("\x1a\x7fx")).empty());         // longer than it is
    CHECK(error_details(answered_with("\x18\x07")).empty());          // a number where the details are
    CHECK(error_details(answered_with("\x1a\x02\xff\xff")).empty());  // no Any
    CHECK(error_details(grpc::Status::OK).empty());
  }
}

TEST_CASE("async_all: calls at once, each with its own result", "[live]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  run(loop, [&]() -> asio::awaitable<void> {
    auto const [good, bad] = co_await async_all(echo.async_call<say>(saying("a")), echo.async_call<say>(failing()));
    CHECK(good->text() == "a");
    CHECK(bad.error().error_code() == grpc::StatusCode::FAILED_PRECONDITION);

    std::vector<decltype(echo.async_call<say>(saying("")))> calls;
    for (int at = 0; at < 20; ++at) calls.push_back(echo.async_call<say>(slow(std::to_string(at), 20 - at)));
    auto const results = co_await async_all(std::move(calls));
    REQUIRE(results.size() == 20);
    for (std::size_t at = 0; at < results.size(); ++at) CHECK(results[at]->text() == std::to_string(at));
  });
}

TEST_CASE("async_any: the first success, and the others are cut off", "[live]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  std::vector<decltype(echo.async_call<say>(saying("")))> calls;
  run(loop, [&]() -> asio::awaitable<void> {
    calls.push_back(echo.async_call<say>(failing()));
    calls.push_back(echo.async_call<say>(slow("late", 10'000)));
    calls.push_back(echo.async_call<say>(slow("early", 1)));
    auto const outcome = co_await async_any(std::exchange(calls, {}));
    REQUIRE(outcome.winner == 2);
    CHECK(outcome.results[2]->text() == "early");
    CHECK(outcome.results[0].error().error_code() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(outcome.results[1].error().error_code() == grpc::StatusCode::CANCELLED);

    calls.push_back(echo.async_call<say>(failing()));
    calls.push_back(echo.async_call<say>(failing()));
    auto const none = co_await async_any(std::exchange(calls, {}));
    CHECK_FALSE(none.winner);
    CHECK(none.results.size() == 2);
  });
}

TEST_CASE("with_timeout: ends any operation by then, and says why", "[live]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  run(loop, [&]() -> asio::awaitable<void> {
    steady_timer later(loop, 10s);
    // no exception: the error is a value of as_tuple's
    auto const [how] =
        co_await with_timeout(loop, 1ms, later.async_wait(asio::deferred))(asio::as_tuple(asio::use_awaitable));
    CHECK(how == errc::timed_out);

    auto const slow_call = co_await with_timeout(loop, 5ms, echo.async_call<say>(slow("x", 10'000)));
    CHECK(slow_call.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    auto const at_once = co_await with_timeout(loop, -1s, echo.async_call<say>(slow("x", 10'000)));
    CHECK(at_once.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    auto const in_time = co_await with_timeout(loop, 10s, echo.async_call<say>(saying("x")));
    CHECK(in_time->text() == "x");
    auto const its_own_failure = co_await with_timeout(loop, 10s, echo.async_call<say>(failing()));
    CHECK(its_own_failure.error().error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  });
}

TEST_CASE("call_options::deadline: work that is late already is not sent", "[live]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  REQUIRE(call_once(loop, pool, saying("x")).has_value());
  int const before = server.calls();
  call_info info;
  auto const late = call_once(loop, pool, saying("x"), {.deadline = clock::now() - 1ms, .info = &info});
  CHECK(late.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(late.error().error_message() == "Deadline Exceeded before the call started");
  CHECK(info.attempts == 0);
  CHECK(info.origin == call_end::deadline);
  CHECK(server.calls() == before);

  auto const bounded = call_once(loop, pool, saying("x"), {.timeout = 60s, .deadline = clock::now() + 20s});
  CHECK(bounded->time_left_ms() < 21'000);
  CHECK(bounded->time_left_ms() > 10'000);
  auto const shorter = call_once(loop, pool, saying("x"), {.timeout = 20s, .deadline = clock::now() + 60s});
  CHECK(shorter->time_left_ms() < 21'000);
}

TEST_CASE("trap T21, trap T22: inbound_deadline says until when an inbound call's caller waits", "[live][T21][T22]") {
  struct relay final : echo::Echo::Service {
    grpc::Status Say(grpc::ServerContext* context, EchoRequest const*, EchoReply* reply) override {
      time_point const until = inbound_deadline(*context, 1s);
      reply->set_text(until == never ? "never" : std::to_string((until - clock::now()) / 1ms));
      return grpc::Status::OK;
    }
  } service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto const server = builder.BuildAndStart();
  auto const stub =
      Echo::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  auto const ask = [&](std::optional<std::chrono::milliseconds> timeout) {
    grpc::ClientContext context;
    if (timeout) context.set_deadline(std::chrono::system_clock::now() + *timeout);
    EchoReply reply;
    REQUIRE(stub->Say(&context, saying("x"), &reply).ok());
    return reply.text();
  };
  CHECK(ask(std::nullopt) == "never");
  int const left = std::stoi(ask(20s));
  CHECK(left < 19'500);  // a second for the way back, and gRPC rounds up what it sends
  CHECK(left > 10'000);
}

TEST_CASE("complaint 30, trap T36: a loop made before a fork refuses in the child, which ends", "[live][T36]") {
  millrace::loop loop;
  pid_t const child = ::fork();
  if (child == 0) {
    int code = 1;
    try {
      loop.run();
    } catch (std::logic_error const& error) {
      code = std::string_view(error.what()).find("fork") != std::string_view::npos ? 0 : 2;
    }
    ::_exit(code);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(loop.run() == 0);
}
