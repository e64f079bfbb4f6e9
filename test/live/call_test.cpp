// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/client.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/metrics/observer.hpp>

#include <support/catch.hpp>
#include <support/echo_server.hpp>
#include <support/first_of_all.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <google/protobuf/descriptor.pb.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <deque>
#include <future>
#include <optional>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

namespace {

EchoRequest saying(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

EchoRequest failing(grpc::StatusCode code) {
  EchoRequest request;
  request.set_code(code);
  return request;
}

/// Calls once and runs the loop until the answer.
rpc_result<EchoReply> call(millrace::loop& loop, client<Echo> echo, EchoRequest const& request,
                           call_options options = {}) {
  std::optional<rpc_result<EchoReply>> answer;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, std::move(options),
                                                [&](rpc_result<EchoReply> reply) { answer = std::move(reply); });
  loop.run();
  REQUIRE(answer);
  return std::move(*answer);
}

/// What a request's headers say of the time it has; -1 for nothing.
int milliseconds_told(std::string const& block) {
  std::string const name = "grpc-timeout";
  auto const at = block.find(name);
  if (at == block.npos) return -1;
  auto const size = static_cast<std::size_t>(block.at(at + name.size()));
  std::string const value = block.substr(at + name.size() + 1, size);
  INFO("grpc-timeout: " << value);
  REQUIRE_THAT(value, Catch::EndsWith("m"));
  return std::stoi(value);
}

}  // namespace

TEST_CASE("live: a call is answered", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  call_info info;
  auto const reply = call(loop, pool, saying("hello"), {.timeout = 5s, .info = &info});
  REQUIRE(reply.has_value());
  CHECK(reply->text() == "hello");
  CHECK(reply->previous_attempts() == 0);
  CHECK(reply->time_left_ms() > 0);
  CHECK(reply->time_left_ms() <= 5010);  // gRPC rounds what it writes up to 10 ms
  CHECK(info.attempts == 1);
  CHECK(info.endpoint == server.address());
  CHECK(info.origin == call_end::attempt);
}

TEST_CASE("live: a call without a timeout has the client's default deadline", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call(loop, client<Echo>(pool, {.default_timeout = 7s}), saying("x"));
  REQUIRE(reply.has_value());
  CHECK(reply->time_left_ms() > 0);
  CHECK(reply->time_left_ms() <= 7010);  // gRPC rounds what it writes up to 10 ms
}

TEST_CASE("live: coroutines, futures and callbacks get the same answer", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  std::string said;
  co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        auto first = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("deferred"), {.timeout = 5s});
        auto second =
            co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("awaitable"), {}, asio::use_awaitable);
        said = first.value().text() + " " + second.value().text();
      },
      asio::detached);
  auto future = echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("future"), {}, asio::use_future);
  loop.run();
  CHECK(said == "deferred awaitable");
  CHECK(future.get().value().text() == "future");
}

TEST_CASE("live: a failed call is a value with the server's status", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call(loop, pool, failing(grpc::StatusCode::NOT_FOUND));
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(reply.error().error_message() == "as requested");
  CHECK_THROWS_AS(reply.value(), rpc_error);
  CHECK(server.calls() == 1);
}

TEST_CASE("trap T24: UNAVAILABLE is retried, and the server sees the count", "[live][retry][T24]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  EchoRequest request = failing(grpc::StatusCode::UNAVAILABLE);
  request.set_ok_after_attempts(2);
  call_info info;
  auto const reply = call(loop, pool, request, {.timeout = 5s, .info = &info});
  INFO((reply ? "" : reply.error().error_message()) << " after " << info.attempts << " attempts");
  REQUIRE(reply.has_value());
  CHECK(reply->previous_attempts() == 2);
  CHECK(info.attempts == 3);
}

TEST_CASE("trap T42: a call whose headers arrived is committed and not retried (A6)", "[live][retry][T42]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  EchoRequest request = failing(grpc::StatusCode::UNAVAILABLE);
  request.set_headers_first(true);
  auto const reply = call(loop, pool, request);
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(server.calls() == 1);
}

TEST_CASE("live: a negative pushback stops retries", "[live][retry]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  EchoRequest request = failing(grpc::StatusCode::UNAVAILABLE);
  request.set_pushback("-1");
  CHECK(call(loop, pool, request).has_error());
  CHECK(server.calls() == 1);
}

TEST_CASE("live: the deadline ends a call that the server holds up", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  EchoRequest request = saying("late");
  request.set_delay_ms(60'000);
  call_info info;
  auto const reply = call(loop, pool, request, {.timeout = 100ms, .info = &info});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(info.origin == call_end::deadline);
}

TEST_CASE("live: a call that nobody answers is ended by this side at its deadline, which the server was told",
          "[live]") {
  for (bool const minimal : {true, false}) {
    std::promise<std::string> sent;
    test::http2_server server([&](auto& request) { sent.set_value(request.block()); });
    millrace::loop loop;
    millrace::pool pool{loop, {.target = server.address(), .minimal_stack = minimal}};
    std::optional<rpc_result<EchoReply>> answer;
    call_info info;
    auto const start = millrace::clock::now();
    client<Echo>(pool).async_call<&Echo::Stub::PrepareAsyncSay>(
        saying("x"), {.timeout = 300ms, .info = &info},
        [&](rpc_result<EchoReply> reply) { answer = std::move(reply); });
    test::run_until(loop, "the call's end", [&] { return answer.has_value(); });
    CHECK(millrace::clock::now() - start >= 300ms);
    REQUIRE(answer->has_error());
    CHECK(answer->error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    CHECK(info.origin == call_end::deadline);
    CHECK(info.attempts == 1);
    auto const told = milliseconds_told(sent.get_future().get());
    CHECK(told > 0);
    CHECK(told <= 310);  // gRPC rounds what it writes up to 10 ms
  }
}

TEST_CASE("live: calls end at their deadline although their peer reads nothing, and gRPC does not give them back",
          "[live][T18]") {
  constexpr int calls = 3000;  // with their metadata more than sockets take
  std::promise<void> read_on;
  test::http2_server server([&, going = read_on.get_future().share()](auto&) { going.wait(); });
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .max_calls_per_slot = calls}};
  client<Echo> echo(pool, {.retry = {.max_attempts = 1}});
  generic_client any(pool);
  auto const talk = method::unnumbered("/echo.Echo/Talk");
  call_options const padded{.timeout = 500ms, .metadata = {{"padding", std::string(8000, 'x')}}};
  std::deque<bidi_stream<grpc::ByteBuffer, grpc::ByteBuffer>> streams;
  int late = 0;
  auto const count = [&](grpc::Status const& how) {
    late += how.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? 1 : 0;
  };
  for (int n = 0; n < calls; n += 2) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), padded, [&](rpc_result<EchoReply> reply) {
      count(reply.has_error() ? reply.error() : grpc::Status());
    });
    streams.push_back(any.async_stream(talk, padded));
    streams.back().async_finish(count);
  }
  test::run_until(loop, "the calls' ends", [&] { return late == calls; });
  CHECK(pool.snapshot().in_flight > 0);
  read_on.set_value();
  test::run_until(loop, "the attempts to be back", [&] { return pool.snapshot().in_flight == 0; });
}

TEST_CASE("live: calls are made again elsewhere when their time is up and gRPC does not give them back",
          "[live][retry]") {
  struct listener final : observer {
    using observer::on;
    void on(events::attempt_finished const& event) noexcept override {
      not_back += event.message == "cut off, and not back yet" ? 1 : 0;
    }
    int not_back = 0;
  } heard;
  constexpr int calls = 4000;  // with their metadata more than sockets take
  std::promise<void> read_on;
  test::http2_server deaf([&, going = read_on.get_future().share()](auto&) { going.wait(); });
  test::echo_server other;
  millrace::loop loop;
  millrace::pool pool{loop,
                      {.target = deaf.address() + "," + other.address(),
                       .max_slots = 2,
                       .max_calls_per_slot = calls,
                       .make_picker = test::first_of_all::make,
                       .budget = {.min_per_second = calls},
                       .observer = &heard}};
  pool.async_ready({.min_ready = 2}, [](error_code error) { REQUIRE_FALSE(error); });
  loop.run();
  client<Echo> echo(pool, {.retry = {.max_attempts = 1}});
  call_options patient{.timeout = 60s, .metadata = {{"padding", std::string(4000, 'x')}}};
  call_options impatient = patient;
  retry::retry_policy const again{.max_attempts = 5, .per_attempt_timeout = 500ms};
  impatient.retry = &again;
  int waiting = calls;
  int answered = 0;
  for (int n = 0; n < calls; ++n) {
    // few go on, so that the other server has the time
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), n % 40 == 0 ? impatient : patient,
                                                  [&](rpc_result<EchoReply> reply) {
                                                    --waiting;
                                                    answered += reply.has_value() ? 1 : 0;
                                                  });
  }
  test::run_until(loop, "the answers", [&] { return answered == calls / 40; });
  CHECK(other.calls() >= answered);
  CHECK(heard.not_back > 0);
  pool.async_drain(0s, [](error_code) {});
  test::run_until(loop, "the calls' ends", [&] { return waiting == 0; });
  CHECK(pool.snapshot().in_flight > 0);
  read_on.set_value();
  test::run_until(loop, "the attempts to be back", [&] { return pool.snapshot().in_flight == 0; });
}

TEST_CASE("live: terminal cancellation cuts a call off", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  asio::cancellation_signal signal;
  EchoRequest request = saying("late");
  request.set_delay_ms(60'000);
  std::optional<rpc_result<EchoReply>> answer;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(
      request, {.timeout = 60s},
      asio::bind_cancellation_slot(signal.slot(), [&](rpc_result<EchoReply> reply) { answer = std::move(reply); }));
  millrace::steady_timer timer(loop, 50ms);
  timer.async_wait([&](boost::system::error_code) { signal.emit(asio::cancellation_type::terminal); });
  loop.run();
  REQUIRE(answer);
  CHECK(answer->error().error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("live: a dead port fails fast with UNAVAILABLE and says which endpoint and why", "[live]") {
  int const port = test::echo_server().port();  // nobody listens there any more
  millrace::loop loop;
  millrace::pool pool{loop, {.target = "127.0.0.1:" + std::to_string(port)}};
  auto const reply = call(loop, pool, saying("anyone?"), {.timeout = 5s});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains("127.0.0.1:" + std::to_string(port)));
  CHECK_THAT(reply.error().error_message(), Catch::Contains("refused"));
}

TEST_CASE("live: a response that does not parse is INTERNAL to the caller, the interceptors and the observer alike",
          "[live]") {
  struct told final : interceptor, observer {
    using observer::on;
    void on(events::call_finished const& event) noexcept override { finished = event.code; }
    hook_result on_done(call_context&, status const& outcome) override {
      done = outcome.code;
      return proceed;
    }
    std::optional<status_code> finished;
    std::optional<status_code> done;
  };
  auto const seen = std::make_shared<told>();
  chain hooks;
  hooks.add(seen);
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .observer = seen.get()}};
  call_info info;
  // the echo's text is where the other type has a message, and it is none
  using other_type = google::protobuf::FileDescriptorSet;
  std::string const request = saying("\x07").SerializeAsString();
  grpc::Slice const bytes(request);
  std::optional<rpc_result<other_type>> answer;
  async_unary<decode_response<other_type>>(make_grpc_client(pool, {.interceptors = hooks}),
                                           method::numbered("/millrace.echo.Echo/Say"),
                                           to_message(grpc::ByteBuffer(&bytes, 1)), {.timeout = 5s, .info = &info},
                                           [&](rpc_result<other_type> reply) { answer = std::move(reply); });
  loop.run();
  REQUIRE(answer);
  REQUIRE(answer->has_error());
  CHECK(answer->error().error_code() == grpc::StatusCode::INTERNAL);
  CHECK(info.origin == call_end::malformed);
  CHECK(seen->done == status_code::internal);
  CHECK(seen->finished == status_code::internal);
}

TEST_CASE("live: an interceptor that says OK does not make a response of none, nor of one that does not parse",
          "[live]") {
  struct optimist final : interceptor {
    hook_result on_done(call_context&, status const& outcome) override {
      return outcome.ok() ? hook_result(proceed) : finish(status{});
    }
  };
  chain hooks;
  hooks.add(std::make_shared<optimist>());
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const client = make_grpc_client(pool, {.interceptors = hooks});
  using other_type = google::protobuf::FileDescriptorSet;
  auto const end = [&](std::string_view path, std::string const& bytes, call_info& info) {
    grpc::Slice const slice(bytes);
    std::optional<rpc_result<other_type>> answer;
    async_unary<decode_response<other_type>>(client, method::numbered(path), to_message(grpc::ByteBuffer(&slice, 1)),
                                             {.timeout = 5s, .info = &info},
                                             [&](rpc_result<other_type> reply) { answer = std::move(reply); });
    loop.run();
    return answer->has_error() ? answer->error().error_code() : grpc::StatusCode::OK;
  };
  call_info info;
  CHECK(end("/millrace.echo.Echo/None", "", info) == grpc::StatusCode::INTERNAL);
  CHECK(info.origin == call_end::malformed);
  CHECK(end("/millrace.echo.Echo/Say", saying("\x07").SerializeAsString(), info) == grpc::StatusCode::INTERNAL);
  CHECK(info.origin == call_end::malformed);
}

template <auto Throw>
struct throwing_decoder {
  struct value_type {};
  using result_type = status;
  static bool decode(message&&, value_type&, status&) {
    Throw();
    return true;
  }
  static status finish(status&& how, value_type&&) { return std::move(how); }
};

TEMPLATE_TEST_CASE("live: a response whose reading throws ends its call with INTERNAL, and the next call is served",
                   "[live]", throwing_decoder<[] { throw std::runtime_error("out of luck"); }>,
                   throwing_decoder<[] { throw 7; }>) {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  std::string const request = saying("x").SerializeAsString();
  grpc::Slice const bytes(request);
  call_info info;
  std::optional<status> end;
  async_unary<TestType>(make_grpc_client(pool, {}), method::numbered("/millrace.echo.Echo/Say"),
                        to_message(grpc::ByteBuffer(&bytes, 1)), {.timeout = 5s, .info = &info},
                        [&](status how) { end = std::move(how); });
  loop.run();
  REQUIRE(end);
  CHECK(end->code == status_code::internal);
  CHECK(end->message.starts_with("the response could not be read"));
  CHECK(info.origin == call_end::malformed);
  CHECK(call(loop, pool, saying("y")).has_value());
}

TEST_CASE("live: a call does not see the trailers of the one before", "[live][retry]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> const echo(pool);
  EchoRequest stops = failing(grpc::StatusCode::UNAVAILABLE);
  stops.set_pushback("-1");
  for (int round = 0; round < 3; ++round) {
    call_info stopped, retried;
    CHECK(call(loop, echo, stops, {.info = &stopped}).has_error());
    CHECK(call(loop, echo, failing(grpc::StatusCode::UNAVAILABLE), {.info = &retried}).has_error());
    CHECK(stopped.attempts == 1);
    CHECK(retried.attempts == 3);
  }
}

TEST_CASE("live: illegal metadata ends a call instead of the process", "[live]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  call_info info;
  auto const reply = call(loop, pool, saying("x"), {.metadata = {{"Upper-Case", "no"}}, .info = &info});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(info.origin == call_end::malformed);
  CHECK_FALSE(info.slot);
}
