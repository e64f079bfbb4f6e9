// SPDX-License-Identifier: Apache-2.0
// The replies of a server on a loop, coalesced.
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/socket_mutator.hpp>
#include <millrace/server/server_cork.hpp>

#include <support/certificates.hpp>
#include <support/corked.hpp>
#include <support/wait.hpp>

#include "running_server.hpp"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/credentials.h>
#include <boost/asio/post.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using echo::running_server;

namespace {

int flooded(running_server& server, int depth, int total) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server->address(), .max_slots = 1, .cork = false}};
  client<echo::Echo> with(pool);
  return flood(loop, with, depth, total);
}

std::size_t descriptors() { return open_descriptors().size(); }

/// A server on a loop of the test's own thread, whose calls wait until the test answers them.
class waiting_server {
 public:
  waiting_server() : waiting_server(grpc::ServerBuilder()) {}
  ~waiting_server() {
    server_->Shutdown(std::chrono::system_clock::now());
    answer_all();
    loop.run();
  }

  std::shared_ptr<grpc::Channel> connect() const {
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), args);
  }

  /// Waits for so many calls.
  void await(std::size_t calls) {
    while (requested_ < calls) request();
    run_until(loop, "the calls", [&] { return waiting.size() == calls && cork.connections() > 0; });
  }

  struct call {
    explicit call(waiting_server& at) : server(at) {}
    void on_back(completion how) {
      if (answered || how != completion::ok) {
        delete this;
      } else {
        server.waiting.push_back(this);
      }
    }
    void answer() {
      answered = true;
      server.cork.before_reply(context);
      server.loop.start(op, op_kind::user, "answer", [&](void* tag) { stream.Finish(status, tag); });
    }

    waiting_server& server;
    grpc::GenericServerContext context;
    grpc::GenericServerAsyncReaderWriter stream{&context};
    grpc::Status const status{grpc::StatusCode::NOT_FOUND, "answered"};
    bool answered = false;
    tag<&call::on_back> op{*this};
  };

  void answer_all() {
    for (call* const one : std::exchange(waiting, {})) one->answer();
  }

  int port = 0;
  std::vector<call*> waiting;
  millrace::loop loop;
  server_cork cork{loop, {.min_in_flight = 0}};

 private:
  explicit waiting_server(grpc::ServerBuilder&& builder)
      : loop(std::make_unique<cq_port>(builder.AddCompletionQueue())),
        queue_(static_cast<grpc::ServerCompletionQueue&>(completion_queue(loop))) {
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterAsyncGenericService(&service_);
    cork.install(builder);
    server_ = builder.BuildAndStart();
  }

  void request() {
    ++requested_;
    auto* const one = new call(*this);
    loop.start(one->op, op_kind::user, "call",
               [&](void* tag) { service_.RequestCall(&one->context, &one->stream, &queue_, &queue_, tag); });
  }

  grpc::ServerCompletionQueue& queue_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
  std::size_t requested_ = 0;
};

/// A call in a thread of its own, and what it ends with.
struct asking {
  explicit asking(std::shared_ptr<grpc::Channel> const& by)
      : ended(std::async(std::launch::async, [this, by] {
          return echo::Echo::NewStub(by)->Say(&context, echo::EchoRequest(), &reply).error_code();
        })) {}

  grpc::ClientContext context;
  echo::EchoReply reply;
  std::future<grpc::StatusCode> ended;
};

}  // namespace

TEST_CASE("server_cork: deep load is corked into fewer segments, every call is answered, and no socket is left so",
          "[live][server]") {
  if (!can_tap_sockets()) return;
  bool const secret = GENERATE(false, true);
  INFO((secret ? "over TLS" : "plain"));
  std::uint32_t segments[2] = {};
  for (bool const cork : {false, true}) {
    echo::options wanted{.cork = cork};
    if (secret) wanted.tls_certificate = test_certificate, wanted.tls_key = test_key;
    running_server server(wanted);
    millrace::loop loop;
    millrace::pool pool{loop,
                        {.target = server->address(),
                         .max_slots = 1,
                         .cork = false,
                         .credentials = secret ? grpc::SslCredentials({test_certificate, {}, {}}) : nullptr}};
    client<echo::Echo> with(pool);
    CHECK(flood(loop, with, 64, 5000) == 5000);
    int const port = std::stoi(server->address().substr(server->address().rfind(':') + 1));
    segments[cork] = data_segments_out(connected_socket(port, side::server));
    CHECK(corked_sockets() == 0);
    server.stop();
    coalescing_stats const stats = server->coalescing();
    CHECK((stats.corks > 0) == cork);
    CHECK((stats.held > duration::zero()) == cork);
    CHECK(stats.failed_uncorks == 0);
    CHECK_FALSE(stats.corked);
  }
  INFO(segments[0] << " segments, " << segments[1] << " corked");
  CHECK(segments[1] * 5 < segments[0] * 4);
}

TEST_CASE("server_cork: a handler that throws leaves no socket corked, and what it answered goes out",
          "[live][server]") {
  if (!can_tap_sockets()) return;
  waiting_server server;
  auto const channel = server.connect();
  asking first(channel);
  asking second(channel);
  server.await(2);
  int corked = 0;
  boost::asio::post(server.loop, [&] {
    server.answer_all();
    corked = corked_sockets();
    throw std::runtime_error("from a handler");
  });
  CHECK_THROWS_AS(server.loop.run_until(clock::now() + patience), std::runtime_error);
  CHECK(corked > 0);
  CHECK(corked_sockets() == 0);
  for (asking* const one : {&first, &second}) {
    run_until(server.loop, "the answer",
              [&] { return one->ended.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    CHECK(one->ended.get() == grpc::StatusCode::NOT_FOUND);
  }
}

TEST_CASE("server_cork: a connection that is forgotten in mid-turn counts, and is corked no more", "[live][server]") {
  if (!can_tap_sockets()) return;
  waiting_server server;
  auto gone = server.connect();
  std::optional<asking> one(gone);
  server.await(1);
  one->context.TryCancel();
  CHECK(one->ended.get() == grpc::StatusCode::CANCELLED);
  one.reset();  // its context holds the channel
  gone.reset();
  run_until(server.loop, "the connection's end", [&] { return connected_socket(server.port, side::server) < 0; });
  bool corked = false;
  boost::asio::post(server.loop, [&] {
    server.cork.before_reply(server.waiting[0]->context);
    server.cork.before_reply(server.waiting[0]->context);
    corked = server.cork.coalescing().corked;
  });
  auto const next = server.connect();  // whose coming has the first one looked at, behind that handler
  REQUIRE(next->WaitForConnected(std::chrono::system_clock::now() + patience));
  run_until(server.loop, "the next connection", [&] { return corked; });
  CHECK(server.cork.connections() == 1);
  CHECK(server.cork.coalescing().corks == 1);
  CHECK(server.cork.coalescing().longest > duration::zero());
  CHECK_FALSE(server.cork.coalescing().corked);
}

TEST_CASE("server_cork: a rule that is not allowed is named", "[live][server]") {
  millrace::loop loop;
  CHECK_THROWS_WITH(server_cork(loop, {.flush_every = 0}),
                    "cork_params.flush_every: 0 is not allowed; it must be 1 or more");
}

TEST_CASE("server_cork: IPv6 peers are known too", "[live][server]") {
  if (!can_tap_sockets()) return;
  if (!std::filesystem::exists("/proc/net/if_inet6")) return;
  running_server server({.host = "[::1]"});
  CHECK(flooded(server, 64, 5000) == 5000);
  server.stop();
  CHECK(server->coalescing().corks > 0);
}

TEST_CASE("server_cork: shallow load is hardly ever corked, and a server it is not installed on never",
          "[live][server]") {
  for (bool const cork : {true, false}) {
    running_server server({.cork = cork});
    CHECK(flooded(server, cork ? 1 : 64, 1000) == 1000);
    server.stop();
    // where another program takes the processor away in the middle of a turn, calls one after the other fall into that one turn
    CHECK(server->coalescing().corks <= (cork ? 20 : 0));
    CHECK(server->held() <= (cork ? 1 : 0));
  }
}

TEST_CASE("server_cork: the sockets of connections that ended are let go", "[live][server]") {
  if (!can_tap_sockets()) return;
  running_server server;
  CHECK(flooded(server, 2, 10) == 10);
  std::size_t const before = descriptors();
  for (int connection = 0; connection < 1000; ++connection) REQUIRE(flooded(server, 1, 1) == 1);
  std::size_t const after = descriptors();
  INFO(before << " descriptors before, " << after << " after 1000 connections");
  CHECK(after < before + 64);
  server.stop();
  CHECK(server->held() < 64);
}
