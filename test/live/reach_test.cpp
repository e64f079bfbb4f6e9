// SPDX-License-Identifier: Apache-2.0
// Whether an attempt reached a connection: what never left is retried without the policy's say, what may have is not.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/pool/grpc_channel.hpp>

#include <grpcpp/server_builder.h>

#include <unistd.h>

#include <cstdio>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;

namespace {

struct attempts_seen final : observer {
  using observer::on;
  void on(events::attempt_finished const& event) noexcept override { never_left.push_back(event.never_left); }
  void on(events::retry_scheduled const& event) noexcept override { transparent.push_back(event.transparent); }
  std::vector<bool> never_left;
  std::vector<bool> transparent;
};

/// Says UNAVAILABLE without response headers to every call, at any address.
class busy_server final : public echo::Echo::CallbackService {
 public:
  explicit busy_server(std::string const& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~busy_server() override {
    if (server_) server_->Shutdown();
  }

  bool listens() const noexcept { return server_ != nullptr; }
  std::string port() const { return std::to_string(port_); }
  int calls() const noexcept { return calls_; }

 private:
  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, echo::EchoRequest const*,
                                echo::EchoReply*) override {
    ++calls_;
    auto* const reactor = context->DefaultReactor();
    reactor->Finish({grpc::StatusCode::UNAVAILABLE, "busy"});
    return reactor;
  }

  int port_ = 0;
  std::atomic<int> calls_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// each attempt was at the server, and none may be taken for one that never left
void check_reached(busy_server& server, std::string const& target) {
  INFO("target " << target);
  int const before = server.calls();
  attempts_seen seen;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = target, .observer = &seen}};
  call_info info;
  auto const reply = call_once(loop, pool, saying("x"), {.timeout = 20s, .info = &info});
  CHECK(why(reply) == "busy");
  CHECK(info.attempts == 3);
  CHECK(server.calls() - before == 3);
  CHECK(seen.never_left == std::vector<bool>{false, false, false});
  CHECK(seen.transparent == std::vector<bool>{false, false});
}

}  // namespace

TEST_CASE("reach: an answer shows that the call was there, by address, by name and by gRPC target", "[live][reach]") {
  busy_server server("127.0.0.1:0");
  for (std::string const host : {"127.0.0.1", "localhost", "dns:///127.0.0.1"}) {
    check_reached(server, host + ":" + server.port());
  }
  // names in a list are gRPC's to resolve
  check_reached(server, "dns:127.0.0.1:" + server.port() + ",dns:///localhost:" + server.port());
}

TEST_CASE("reach: the same over IPv6", "[live][reach]") {
  busy_server server("[::1]:0");
  if (!server.listens()) {
    WARN("this machine has no ::1");
    return;
  }
  check_reached(server, "[::1]:" + server.port());
  check_reached(server, "dns:///[::1]:" + server.port());
}

TEST_CASE("reach: the same over a Unix socket, whose peer is called as its target is", "[live][reach]") {
  std::string const name = "millrace-reach-" + std::to_string(getpid()) + ".sock";
  {
    busy_server server("unix:/tmp/" + name);
    REQUIRE(server.listens());
    check_reached(server, "unix:/tmp/" + name);
    check_reached(server, "unix:///tmp/" + name);
  }
  busy_server server("unix:" + name);
  REQUIRE(server.listens());
  check_reached(server, "unix:" + name);
}

TEST_CASE("reach: the same over a Unix socket of the abstract namespace", "[live][reach]") {
  std::string const address = "unix-abstract:millrace-reach-" + std::to_string(getpid());
  busy_server server(address);
  REQUIRE(server.listens());
  check_reached(server, address);
}

TEST_CASE("reach: a connection lost with the request on it may have left, and the policy decides", "[live][reach]") {
  http2_server server([](auto& request) { request.cut(); });
  attempts_seen seen;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .observer = &seen}};
  call_info info;
  auto const reply = call_once(loop, pool, saying("x"), {.timeout = 20s, .info = &info});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  REQUIRE_FALSE(seen.never_left.empty());
  CHECK_FALSE(seen.never_left.front());
  CHECK(server.requests() >= 1);
  CHECK(server.requests() <= 3);
}

TEST_CASE("trap T24: a call that starts on a channel without a connection never left, and is retried for free",
          "[live][reach][T24]") {
  // its threads serve all of gRPC's sockets in this process, so the loss is known to gRPC before the loop hears of it
  echo_server bystander;
  auto server = std::make_unique<echo_server>();
  int const port = server->port();
  attempts_seen seen;
  millrace::loop loop;
  millrace::pool pool{
      loop, {.target = server->address(), .max_slots = 1, .slot = {.backoff = {.initial = 20ms}}, .observer = &seen}};
  client<Echo> echo(pool, {.retry = {.max_attempts = 1, .retryable = {}}});
  REQUIRE(call_once(loop, echo, saying("warm-up"), {.timeout = 20s}).has_value());
  lease held;
  pool.async_acquire({}, [&](error_code, lease got) { held = std::move(got); });
  loop.run();
  REQUIRE(held);
  auto const channel = static_cast<millrace::grpc_channel&>(held.channel()).get();

  server.reset();
  wait_until("gRPC to notice that the connection is gone",
             [&] { return channel->GetState(false) != GRPC_CHANNEL_READY; });
  CHECK(pool.ready() == 1);
  seen = {};
  call_info info;
  std::optional<rpc_result<EchoReply>> answer;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("again"),
                                                {.timeout = 20s, .wait_for_ready = true, .info = &info},
                                                [&](rpc_result<EchoReply> reply) { answer = std::move(reply); });
  run_until(loop, "the first attempt to fail", [&] { return !seen.never_left.empty(); });
  CHECK(seen.never_left.front());
  held.release(status_code::cancelled);
  server = std::make_unique<echo_server>(port);
  REQUIRE(server->running());
  run_until(loop, "the call to be answered by the server that came back", [&] { return answer.has_value(); });
  INFO(why(*answer));
  CHECK(answer->has_value());
  CHECK(seen.transparent.front());
  CHECK(info.attempts == 2);
  CHECK(server->calls() == 1);
}
