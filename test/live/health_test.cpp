// SPDX-License-Identifier: Apache-2.0
// Asking real servers for their health.
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/health_check.hpp>
#include <millrace/resolve/endpoint.hpp>

#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/sockets.hpp>
#include <support/wait.hpp>

#include <grpcpp/health_check_service_interface.h>

#include <optional>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using health::server_health;
using health::serving_status;

namespace {

/// An echo server with gRPC's own health service, or without one.
struct healthy_server {
  explicit healthy_server(bool with = true) : on((grpc::EnableDefaultHealthCheckService(with), echo_server())) {}
  ~healthy_server() { grpc::EnableDefaultHealthCheckService(false); }

  void set(std::string const& service, bool serving) { on.health()->SetServingStatus(service, serving); }

  echo_server on;
};

/// A channel to a server, connected, without a pool.
struct connection {
  explicit connection(std::string const& address, pool_params const& params = {}) {
    channel = grpc_channel_factory(loop, params).open({.address = address}, {});
    channel->connect();
    run_until(loop, "the connection", [&] { return channel->state() == connectivity::ready; });
  }
  ~connection() { drop(); }
  void drop() {
    if (channel != nullptr) millrace::channel::drop_user(std::exchange(channel, nullptr));
  }
  void wait_until_all_is_back() {
    run_until(loop, "all operations to be back", [&] { return loop.outstanding() == 0; });
  }

  millrace::loop loop;
  millrace::channel* channel = nullptr;
};

/// A health_check and what it said.
struct checked : connection {
  explicit checked(std::string const& address, health::watch_params with = {}, pool_params const& of = {})
      : connection(address, of), params(std::move(with)) {
    check.start(*channel);
  }
  void on_said(server_health now_is, std::string_view words) {
    heard.push_back(now_is);
    why = words;
  }
  void wait_for(server_health wanted) {
    run_until(loop, to_string(wanted), [&] { return check.health() == wanted; });
  }

  health::watch_params params;
  std::vector<server_health> heard;
  std::string why;
  retry::budget budget;
  health_check check{loop, params, budget, health_check::listener::to<&checked::on_said>(*this)};
};

/// A question of one's own.
struct asker final : health_listener {
  void on_answered(serving_status status) override { answers.push_back(status); }
  void on_ended(status const& why) override { ended = why; }

  std::vector<serving_status> answers;
  std::optional<status> ended;
};

}  // namespace

TEST_CASE("live: a server that serves is healthy, and its changes are streamed", "[live][health]") {
  healthy_server server;
  checked one{server.on.address()};
  CHECK(one.heard == std::vector{server_health::pending});
  one.wait_for(server_health::serving);
  server.set("", false);
  one.wait_for(server_health::not_serving);
  CHECK(one.why == "the server says NOT_SERVING");
  server.set("", true);
  one.wait_for(server_health::serving);
  CHECK(one.heard.size() == 4);
}

TEST_CASE("live: a service that the server does not know is not usable until it does", "[live][health]") {
  healthy_server server;
  checked one{server.on.address(), {.service = "echo.Echo"}};
  one.wait_for(server_health::service_unknown);
  server.set("echo.Echo", true);
  one.wait_for(server_health::serving);
  server.set("", false);  // another service
  server.set("echo.Echo", false);
  one.wait_for(server_health::not_serving);
  CHECK(one.heard == std::vector{server_health::pending, server_health::service_unknown, server_health::serving,
                                 server_health::not_serving});
}

TEST_CASE("live: Checks say the same as a Watch", "[live][health]") {
  healthy_server server;
  server.set("down", false);
  auto const known = [&](std::string service) {
    checked one{server.on.address(), {.service = std::move(service), .use_check = true}};
    run_until(one.loop, "an answer", [&] { return one.check.health() != server_health::pending; });
    return one.check.health();
  };
  CHECK(known("") == server_health::serving);
  CHECK(known("down") == server_health::not_serving);
  CHECK(known("missing") == server_health::service_unknown);
}

TEST_CASE("live: Checks go on and see changes", "[live][health]") {
  healthy_server server;
  checked one{server.on.address(), {.use_check = true, .check_interval = 5ms}};
  one.wait_for(server_health::serving);
  server.set("", false);
  one.wait_for(server_health::not_serving);
  server.set("", true);
  one.wait_for(server_health::serving);
}

TEST_CASE("live: a server without a health service is taken for healthy", "[live][health]") {
  for (bool const use_check : {false, true}) {
    healthy_server server{false};
    checked one{server.on.address(), {.use_check = use_check}};
    one.wait_for(server_health::unsupported);
    CHECK(usable(one.check.health()));
    CHECK_THAT(one.why, Catch::StartsWith("the server has no health service: UNIMPLEMENTED"));
    CHECK(one.loop.outstanding() == 0);
  }
}

TEST_CASE("live: a server that never answers is given up after the time allowed, and says why", "[live][health]") {
  http2_server server{[](http2_server::exchange&) {}};
  checked one{server.address(), {.initial_timeout = 20ms, .check_timeout = 20ms}};
  one.wait_for(server_health::failing);
  CHECK(one.why == "the health check timed out: DEADLINE_EXCEEDED");
  CHECK(one.heard == std::vector{server_health::pending, server_health::failing});
  CHECK(server.requests() == 2);
  one.check.stop();
  one.wait_until_all_is_back();
}

TEST_CASE("live: an answer that is none is a failure", "[live][health]") {
  http2_server server{[](http2_server::exchange& call) {
    call.headers();
    call.message("\x08");
    call.trailers({{"grpc-status", "0"}});
  }};
  for (bool const use_check : {false, true}) {
    checked one{server.address(), {.use_check = use_check}};
    one.wait_for(server_health::failing);
    CHECK_THAT(one.why, Catch::Contains("INTERNAL (the answer is not a HealthCheckResponse)"));
  }
}

TEST_CASE("live: a Check that succeeds without an answer is a failure", "[live][health]") {
  http2_server server{[](http2_server::exchange& call) {
    call.headers();
    call.trailers({{"grpc-status", "0"}});
  }};
  checked one{server.address(), {.use_check = true}};
  one.wait_for(server_health::failing);
}

TEST_CASE("live: a Watch that the server ends is a failure, and asked again", "[live][health]") {
  http2_server server{[](http2_server::exchange& call) {
    call.headers();
    call.message("\x08\x01");
    if (call.number() == 1) call.trailers({{"grpc-status", "14"}, {"grpc-message", "restarting"}});
  }};
  checked one{server.address(), {.backoff = {.initial = 1ms}}};
  run_until(one.loop, "the second Watch's answer", [&] { return one.heard.size() == 4; });
  CHECK(one.heard ==
        std::vector{server_health::pending, server_health::serving, server_health::failing, server_health::serving});
  CHECK(server.requests() == 2);
}

TEST_CASE("live: a server that dies ends the Watch, and a stop leaves nothing behind", "[live][health]") {
  healthy_server server;
  checked one{server.on.address()};
  one.wait_for(server_health::serving);
  server.on.stop();
  run_until(one.loop, "the loss", [&] { return one.channel->state() != connectivity::ready; });
  run_until(one.loop, "the end of the Watch", [&] { return one.check.state() != health::watch_state::watching; });
  one.check.stop();
  one.wait_until_all_is_back();
}

TEST_CASE("live: a check that is stopped or destroyed lets go of the connection", "[live][health]") {
  healthy_server server;
  {
    checked one{server.on.address()};
    one.check.stop();  // before anything came back
    one.wait_until_all_is_back();
    one.check.start(*one.channel);
    one.wait_for(server_health::serving);
    one.check.stop();
    one.drop();
    one.wait_until_all_is_back();
    run_until(one.loop, "the socket to be closed", [&] { return established_to(server.on.port()) == 0; });
    CHECK(one.heard.size() == 3);
  }
  connection other{server.on.address()};
  {
    health::watch_params const params;
    retry::budget budget;
    health_check check{other.loop, params, budget,
                       health_check::listener::raw(nullptr, [](void*, server_health, std::string_view) {})};
    check.start(*other.channel);
  }
  other.wait_until_all_is_back();
}

TEST_CASE("live: a channel with gRPC's full stack is asked in the same way", "[live][health]") {
  healthy_server server;
  checked one{server.on.address(), {}, {.minimal_stack = false}};
  one.wait_for(server_health::serving);
}

TEST_CASE("live: questions are named in the ledger, do not keep the loop running, and end with it", "[live][health]") {
  http2_server server{[](http2_server::exchange&) {}};
  checked one{server.address()};
  one.loop.run();  // returns: a program whose work is done may end
  CHECK(one.loop.outstanding() == 1);
  auto const report = one.loop.stop(10s);
  CHECK(report.finished);
  CHECK(one.check.state() == health::watch_state::stopped);
}

TEST_CASE("live: whoever asks may take the question back when it hears the answer", "[live][health]") {
  struct leaver final : health_listener {
    void on_answered(serving_status) override {
      ++answers;
      std::exchange(call, nullptr)->orphan();
    }
    void on_ended(status const&) override { FAIL("nobody should hear that"); }
    int answers = 0;
    health_call* call = nullptr;
  };
  healthy_server server;
  connection one{server.on.address()};
  leaver who;
  who.call = one.channel->ask_health({}, who);
  run_until(one.loop, "the answer", [&] { return who.answers == 1; });
  server.set("", false);
  one.wait_until_all_is_back();
  CHECK(who.answers == 1);
}

TEST_CASE("live: a Check with a deadline is answered once, and is then gone", "[live][health]") {
  healthy_server server;
  connection one{server.on.address()};
  asker who;
  one.channel->ask_health({.watch = false, .until = one.loop.now() + 10s}, who);
  run_until(one.loop, "the answer", [&] { return !who.answers.empty(); });
  CHECK(who.answers == std::vector{serving_status::serving});
  CHECK_FALSE(who.ended);
  CHECK(one.loop.outstanding() == 0);
}
