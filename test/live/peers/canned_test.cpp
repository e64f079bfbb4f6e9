// SPDX-License-Identifier: Apache-2.0
#include "canned_process.hpp"

#include <millrace/call/client.hpp>

#include <support/catch.hpp>

#include <echo.grpc.pb.h>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <functional>

using namespace millrace;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

namespace {

constexpr int calls = 2000;

EchoRequest saying(std::size_t bytes) {
  EchoRequest request;
  request.set_text(std::string(bytes, 'x'));
  return request;
}

grpc::Status say(Echo::Stub& stub, EchoRequest const& request, EchoReply& reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 10s);
  return stub.Say(&context, request, &reply);
}

std::unique_ptr<Echo::Stub> stub_to(std::string const& address) {
  return Echo::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

}  // namespace

TEST_CASE("live: the canned server answers a plain stub", "[live][canned]") {
  test::canned_process const server;
  auto const stub = stub_to(server.address());
  EchoRequest const request = saying(100);
  for (int call = 0; call < calls; ++call) {
    EchoReply reply;
    auto const status = say(*stub, request, reply);
    INFO("call " << call << ": " << status.error_message());
    REQUIRE(status.ok());
    REQUIRE(reply.text().size() == 100);
  }
}

TEST_CASE("live: the canned server answers a pool", "[live][canned]") {
  test::canned_process const server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  EchoRequest const request = saying(4096);
  int begun = 0;
  int good = 0;
  std::string failure;
  std::function<void()> const call = [&] {
    if (begun++ >= calls) return;
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, {.timeout = 10s}, [&](rpc_result<EchoReply> reply) {
      if (reply && reply->text().size() == 4096) ++good;
      if (!reply) failure = reply.error().error_message();
      call();
    });
  };
  for (int lane = 0; lane < 64; ++lane) call();
  loop.run();
  INFO(failure);
  CHECK(good == calls);
}

TEST_CASE("live: the canned server respects the client's windows and renews its own", "[live][canned]") {
  test::canned_process const server;
  auto const stub = stub_to(server.address());
  // beyond a frame, a default window, and what the server lets a stream send before it hears again
  for (std::size_t const bytes : {std::size_t{17'000}, std::size_t{70'000}, std::size_t{3'000'000}}) {
    EchoReply reply;
    auto const status = say(*stub, saying(bytes), reply);
    INFO(bytes << " bytes: " << status.error_message());
    REQUIRE(status.ok());
    CHECK(reply.text().size() == bytes);
  }
}

TEST_CASE("live: the canned server answers with as many bytes as it was told", "[live][canned]") {
  test::canned_process const server({"--reply-bytes", "130"});
  EchoReply reply;
  auto const status = say(*stub_to(server.address()), saying(1), reply);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(reply.ByteSizeLong() >= 129);  // the canned length prefix may be a byte longer than protobuf's own
}

TEST_CASE("live: the canned server outlives its clients", "[live][canned]") {
  test::canned_process const server;
  for (int client = 0; client < 3; ++client) {
    EchoReply reply;
    auto const status = say(*stub_to(server.address()), saying(16), reply);
    INFO("client " << client << ": " << status.error_message());
    CHECK(status.ok());
  }
}
