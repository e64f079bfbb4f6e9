// SPDX-License-Identifier: Apache-2.0
// What gRPC's completion queues do to the unwary must not happen to an engine's user; servers that misbehave.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <millrace/loop/async_grpc.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/tag.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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

retry::retry_policy const exhaustion_too{.initial_backoff = 1ms,
                                         .retryable = {status_code::unavailable, status_code::resource_exhausted}};

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

grpc::ByteBuffer bytes_of(echo::EchoRequest const& request) {
  grpc::Slice const bytes(request.SerializeAsString());
  return {&bytes, 1};
}

/// A call that a server on the loop asks gRPC for, and what gRPC says of it.
struct inbound_call {
  void ask(millrace::loop& on, echo::Echo::AsyncService& service) {
    auto& queue = static_cast<grpc::ServerCompletionQueue&>(completion_queue(on));
    on.start(over, op_kind::user, "done tag", [&](void* tag) { context.AsyncNotifyWhenDone(tag); });
    async_grpc(
        on, "request", [&](void* tag) { service.RequestSay(&context, &request, &reply, &queue, &queue, tag); },
        [this](bool ok) { came = ok; });
  }
  void on_over(completion how) { ended = how; }

  grpc::ServerContext context;
  echo::EchoRequest request;
  grpc::ServerAsyncResponseWriter<EchoReply> reply{&context};
  std::optional<bool> came;
  std::optional<completion> ended;
  tag<&inbound_call::on_over> over{*this};
};

/// Calls that are each begun by the end of the one before.
struct relay {
  void begin(int more) {
    ++begun;
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = 20s}, [this, more](auto const& reply) {
      ++ended;
      if (reply.has_error()) ++failed;
      if (more > 0) begin(more - 1);
    });
  }
  client<Echo> echo;
  int begun = 0, ended = 0, failed = 0;
};

}  // namespace

TEST_CASE("trap T16: what ok = false means, operation by operation", "[live][traps][T16]") {
  echo_server server;
  millrace::loop loop;
  auto& queue = completion_queue(loop);
  auto const channel = grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  auto const ok = [&](auto start) { return async_grpc(loop, "operation", std::move(start), asio::use_awaitable); };
  auto const now = [] { return std::chrono::system_clock::now(); };

  auto const alarm = [&]() -> asio::awaitable<void> {
    grpc::Alarm due, cancelled;
    bool const was_due = co_await ok([&](void* tag) { due.Set(&queue, now() + 1ms, tag); });
    CHECK(was_due);
    bool const was_cancelled = !co_await ok([&](void* tag) {
      cancelled.Set(&queue, now() + 1h, tag);
      cancelled.Cancel();
    });
    CHECK(was_cancelled);
  };
  auto const watch = [&]() -> asio::awaitable<void> {
    bool const ran_out =
        !co_await ok([&](void* tag) { channel->NotifyOnStateChange(GRPC_CHANNEL_IDLE, now() + 5ms, &queue, tag); });
    CHECK(ran_out);
    CHECK(channel->GetState(true) == GRPC_CHANNEL_IDLE);
    bool const changed =
        co_await ok([&](void* tag) { channel->NotifyOnStateChange(GRPC_CHANNEL_IDLE, now() + 20s, &queue, tag); });
    CHECK(changed);
  };
  // Read: no more messages; Finish is true however the call ended
  auto const read = [&](echo::EchoRequest const& request, grpc::StatusCode code) -> asio::awaitable<void> {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    auto const call = stub.PrepareCall(&context, "/millrace.echo.Echo/Say", &queue);
    grpc::ByteBuffer answer;
    grpc::Status how;
    bool const started = co_await ok([&](void* tag) { call->StartCall(tag); });
    CHECK(started);
    bool const wrote = co_await ok([&](void* tag) { call->Write(bytes_of(request), tag); });
    CHECK(wrote);
    bool const closed = co_await ok([&](void* tag) { call->WritesDone(tag); });
    CHECK(closed);
    if (code == grpc::StatusCode::OK) {
      bool const first = co_await ok([&](void* tag) { call->Read(&answer, tag); });
      CHECK(first);
    }
    bool const more = co_await ok([&](void* tag) { call->Read(&answer, tag); });
    CHECK_FALSE(more);
    bool const finished = co_await ok([&](void* tag) { call->Finish(&how, tag); });
    CHECK(finished);
    CHECK(how.error_code() == code);
  };
  // Write: the call is dead
  auto const write = [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto const call = stub.PrepareCall(&context, "/millrace.echo.Echo/Say", &queue);
    grpc::Status how;
    bool const started = co_await ok([&](void* tag) { call->StartCall(tag); });
    CHECK(started);
    context.TryCancel();
    bool const wrote = co_await ok([&](void* tag) { call->Write(bytes_of(saying("x")), tag); });
    CHECK_FALSE(wrote);
    bool const finished = co_await ok([&](void* tag) { call->Finish(&how, tag); });
    CHECK(finished);
    CHECK(how.error_code() == grpc::StatusCode::CANCELLED);
  };
  bool done = false;
  auto const each = [&]() -> asio::awaitable<void> {
    co_await alarm();
    co_await watch();
    co_await read(saying("x"), grpc::StatusCode::OK);
    co_await read(failing(grpc::StatusCode::NOT_FOUND), grpc::StatusCode::NOT_FOUND);
    co_await write();
    done = true;
  };
  co_spawn(loop, each(), asio::detached);
  run_until(loop, "all operations", [&] { return done; });
  CHECK(loop.stop().finished);
}

TEST_CASE("complaint 24, complaint 26, trap T16, trap T31: of a call that never came gRPC does not say that it is over",
          "[live][traps][T16][T31]") {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  millrace::loop loop(std::make_unique<cq_port>(builder.AddCompletionQueue()));
  Echo::AsyncService service;
  builder.RegisterService(&service);
  auto const server = builder.BuildAndStart();
  inbound_call first, second;
  {
    // one that comes, and whose caller goes
    millrace::pool pool{loop, {.target = "127.0.0.1:" + std::to_string(port)}};
    client<Echo> echo(pool);
    asio::cancellation_signal leave;
    std::optional<rpc_result<EchoReply>> answer;
    first.ask(loop, service);
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(
        saying("x"), {.timeout = 20s},
        asio::bind_cancellation_slot(leave.slot(), [&](rpc_result<EchoReply> reply) { answer = std::move(reply); }));
    run_until(loop, "the call", [&] { return first.came.has_value(); });
    CHECK(*first.came);
    CHECK_FALSE(first.ended);
    leave.emit(asio::cancellation_type::terminal);
    run_until(loop, "its end", [&] { return first.ended && answer; });
    CHECK(first.context.IsCancelled());
    std::optional<bool> finished;
    async_grpc(
        loop, "finish", [&](void* tag) { first.reply.FinishWithError(grpc::Status::CANCELLED, tag); },
        [&](bool ok) { finished = ok; });
    run_until(loop, "the finish", [&] { return finished.has_value(); });
  }
  second.ask(loop, service);
  std::thread shutdown([&] { server->Shutdown(); });  // blocks until somebody is in the queue
  run_until(loop, "the request to come back", [&] { return second.came.has_value(); });
  shutdown.join();
  CHECK_FALSE(*second.came);
  stop_report const waits = loop.stop(50ms);
  REQUIRE(waits.outstanding.size() == 1);
  CHECK(waits.outstanding[0].owner == "done tag");
  loop.retract(second.over);
  CHECK(loop.stop(1s).finished);
  CHECK_FALSE(second.ended);
}

TEST_CASE(
    "complaint 20, trap T1, trap T34: what is asked for while the loop stops ends with an error, and aborts nothing",
    "[live][traps][T1][T34]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  relay again{pool};
  auto endless = saying("never");
  endless.set_delay_ms(60'000);
  for (int call = 0; call < 8; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(endless, {.timeout = 60s}, [&](auto const& reply) {
      CHECK(reply.has_error());
      again.begin(99);
    });
  }
  run_until(loop, "the calls to be at the server", [&] { return server.calls() == 8; });
  CHECK(to_string(loop.stop(20s)) == "stopped: nothing outstanding");
  CHECK(again.begun == 800);
  CHECK(again.ended == 800);
  CHECK(again.failed == 800);

  generic_client raw(pool);
  method const called = method::unnumbered("/millrace.echo.Echo/Say");
  auto stream = raw.async_stream(called);
  std::optional<error_code> written, read;
  std::optional<grpc::Status> finished;
  std::optional<bool> alarmed;
  grpc::Alarm alarm;
  stream.async_write(bytes_of(saying("x")), [&](error_code error) { written = error; });
  stream.async_read([&](error_code error, std::optional<grpc::ByteBuffer> one) {
    read = error;
    CHECK_FALSE(one);
  });
  stream.async_finish([&](grpc::Status how) { finished = std::move(how); });
  async_grpc(
      loop, "alarm", [&](void* tag) { alarm.Set(&completion_queue(loop), std::chrono::system_clock::now() + 1h, tag); },
      [&](bool ok) { alarmed = ok; });
  CHECK(to_string(loop.stop(20s)) == "stopped: nothing outstanding");
  CHECK(written);
  CHECK(read);
  REQUIRE(finished);
  CHECK_FALSE(finished->ok());
  CHECK(alarmed == false);
  CHECK(server.calls() == 8);
}

TEST_CASE("trap T16, trap T17: a failed attempt comes back with ok = true, and its status is what counts",
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

TEST_CASE("complaint 27, trap T18: what an attempt needs outlives client, pool and cancellation until its tag is back",
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

TEST_CASE("complaint 28, trap T20: each attempt is a call of its own with the same metadata, payload and deadline",
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

TEST_CASE("trap T21: no call is without a deadline, at the server too", "[live][traps][T21]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call_once(loop, pool, saying("x"));
  REQUIRE(reply.has_value());
  CHECK(reply->time_left_ms() > 0);
  CHECK(reply->time_left_ms() <= 15'100);  // gRPC rounds what it writes up to 100 ms
}

TEST_CASE("trap T21: a call is for ever only when told so, and then has no deadline on the wire",
          "[live][traps][T21]") {
  std::atomic<bool> sent = false;
  http2_server server([&](auto& request) {
    sent = request.block().find("grpc-timeout") != std::string::npos;
    request.headers();
    request.message(saying("x").SerializeAsString());
    request.trailers({{"grpc-status", "0"}});
  });
  duration const timeout = GENERATE(duration{}, duration{20s}, duration::max());
  CAPTURE(timeout.count());
  CHECK(call(server.address(), timeout).reply.has_value());
  CHECK(server.requests() == 1);
  CHECK(sent == (timeout != duration::max()));
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

TEST_CASE("trap T38: a response beyond 4 MiB is RESOURCE_EXHAUSTED, and the connection lives on",
          "[live][traps][garbage][T38]") {
  lavish_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1}};
  call_info info;
  auto const reply =
      call_once(loop, {pool, {.retry = exhaustion_too}}, saying("large"), {.timeout = 20s, .info = &info});
  REQUIRE(reply.has_error());
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(info.attempts == 1);
  CHECK(call_once(loop, pool, saying("small"), {.timeout = 20s}).has_value());
  CHECK(pool.snapshot().slots[0].connections == 1);
}

TEST_CASE(
    "trap T38: a request beyond the pool's limit reaches no server, and is not tried again whatever the policy retries",
    "[live][traps][T38]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_request_bytes = 10}};
  auto const ask = [&](retry::retry_policy const& policy) {
    call_info info;
    auto const reply =
        call_once(loop, {pool, {.retry = policy}}, saying("more than ten bytes"), {.timeout = 20s, .info = &info});
    REQUIRE(reply.has_error());
    INFO(why(reply));
    CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    return info.attempts;
  };
  CHECK(ask({}) == 1);
  CHECK(ask(exhaustion_too) == 1);  // the next would end the same way
  CHECK(server.calls() == 0);
}

TEST_CASE("trap T38: a response that is too large is committed whatever the policy retries",
          "[live][traps][garbage][T38]") {
  http2_server server([](auto& request) {
    request.headers();
    request.message(saying("more than ten bytes").SerializeAsString());
    request.trailers({{"grpc-status", "0"}});
  });
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_response_bytes = 10}};
  auto const reply = call_once(loop, {pool, {.retry = exhaustion_too}}, saying("x"), {.timeout = 20s});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(server.requests() == 1);
}
