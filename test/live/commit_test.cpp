// SPDX-License-Identifier: Apache-2.0
// The commit point of gRFC A6: response headers end retries, their absence allows them.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <millrace/metrics/observer.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <grpcpp/server_builder.h>

#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;

namespace {

http2_server::fields const unavailable = {{"grpc-status", "14"}, {"grpc-message", "scripted"}};

struct outcome {
  rpc_result<echo::EchoReply> reply;
  call_info info;
};

outcome call(http2_server& server) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  call_info info;
  auto reply = call_once(loop, pool, saying("x"), {.timeout = 20s, .info = &info});
  return {std::move(reply), info};
}

/// A gRPC server that sends response headers with nothing of its own in them, and fails once they are out.
class bare_headers_server final : public echo::Echo::CallbackService {
 public:
  bare_headers_server() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~bare_headers_server() override { server_->Shutdown(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const noexcept { return calls_; }

 private:
  class reactor final : public grpc::ServerUnaryReactor {
   public:
    reactor() { StartSendInitialMetadata(); }
    void OnSendInitialMetadataDone(bool) override { Finish({grpc::StatusCode::UNAVAILABLE, "after the headers"}); }
    void OnDone() override { delete this; }
  };

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext*, echo::EchoRequest const*, echo::EchoReply*) override {
    ++calls_;
    return new reactor;
  }

  int port_ = 0;
  std::atomic<int> calls_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

TEST_CASE("commit: a gRPC server's headers without entries commit the call", "[live][retry]") {
  bare_headers_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  auto const reply = call_once(loop, pool, saying("x"), {.timeout = 20s});
  CHECK(why(reply) == "after the headers");
  CHECK(server.calls() == 1);
}

TEST_CASE("commit: a Trailers-Only answer leaves the call free to retry", "[live][retry]") {
  http2_server server([](auto& request) { request.headers(unavailable, true); });
  auto const [reply, info] = call(server);
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(reply.error().error_message() == "scripted");
  CHECK(info.attempts == retry::retry_policy{}.max_attempts);
  CHECK(server.requests() == static_cast<int>(info.attempts));
}

TEST_CASE("commit: a Trailers-Only answer may carry entries of its own", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers({{"grpc-status", "14"}, {"x-one", "1"}, {"x-two", "2"}, {"server", "scripted"}}, true);
  });
  auto const [reply, info] = call(server);
  CHECK(reply.has_error());
  CHECK(info.attempts == retry::retry_policy{}.max_attempts);
}

TEST_CASE("commit: a call that the server drops as it shuts down is UNAVAILABLE, and free to retry", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers({{"grpc-status", "1"}, {"grpc-message", "CANCELLED"}}, true);
  });
  auto const [reply, info] = call(server);
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(why(reply) == "the server ended the call unanswered, as it does when it shuts down");
  CHECK(info.attempts == retry::retry_policy{}.max_attempts);
}

TEST_CASE("commit: a server that says CANCELLED in words of its own means it", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers({{"grpc-status", "1"}, {"grpc-message", "Cancelled on the server side"}}, true);
  });
  auto const [reply, info] = call(server);
  CHECK(reply.error().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(info.attempts == 1);
}

TEST_CASE("commit: so does one that says it after its headers", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers();
    request.trailers({{"grpc-status", "1"}, {"grpc-message", "CANCELLED"}});
  });
  auto const [reply, info] = call(server);
  CHECK(reply.error().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(info.attempts == 1);
}

TEST_CASE("commit: an attempt that its caller cancels was not dropped by the server", "[live][retry]") {
  struct codes_seen final : observer {
    using observer::on;
    void on(events::attempt_finished const& event) noexcept override { codes.push_back(event.code); }
    std::vector<status_code> codes;
  };
  http2_server server([](auto&) {});
  codes_seen seen;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .observer = &seen}};
  client<echo::Echo> echo(pool);
  boost::asio::cancellation_signal signal;
  echo.async_call<&echo::Echo::Stub::PrepareAsyncSay>(
      saying("x"), {.timeout = 20s},
      boost::asio::bind_cancellation_slot(signal.slot(), [](rpc_result<echo::EchoReply> const&) {}));
  run_until(loop, "the request to arrive", [&] { return server.requests() == 1; });
  signal.emit(boost::asio::cancellation_type::terminal);
  run_until(loop, "the attempt to end", [&] { return !seen.codes.empty(); });
  CHECK(seen.codes == std::vector{status_code::cancelled});
}

TEST_CASE("commit: the barest response headers there can be commit the call", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers();
    request.trailers(unavailable);
  });
  auto const [reply, info] = call(server);
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(reply.error().error_message() == "scripted");
  CHECK(info.attempts == 1);
  CHECK(server.requests() == 1);
}

TEST_CASE("commit: bare response headers ahead of the trailers commit the call", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers();
    request.message(saying("half an answer").SerializeAsString());
    request.trailers(unavailable);
  });
  auto const [reply, info] = call(server);
  CHECK(reply.has_error());
  CHECK(info.attempts == 1);
}

TEST_CASE("commit: response headers with entries commit the call", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers({{"x-one", "1"}});
    request.trailers(unavailable);
  });
  auto const [reply, info] = call(server);
  CHECK(reply.has_error());
  CHECK(info.attempts == 1);
}

TEST_CASE("commit: a connection lost before any header is retried by the policy", "[live][retry]") {
  http2_server server([](auto& request) {
    if (request.number() == 1) return request.cut();
    request.headers();
    request.message(saying("second").SerializeAsString());
    request.trailers({{"grpc-status", "0"}});
  });
  auto const [reply, info] = call(server);
  INFO(why(reply));
  REQUIRE(reply.has_value());
  CHECK(info.attempts == 2);
  CHECK(server.connections() == 2);
}

TEST_CASE("commit: a connection lost after the headers is not retried", "[live][retry]") {
  http2_server server([](auto& request) {
    request.headers();
    request.cut();
  });
  auto const [reply, info] = call(server);
  INFO(why(reply));
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(info.attempts == 1);
  CHECK(server.requests() == 1);
}
