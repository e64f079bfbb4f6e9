// SPDX-License-Identifier: Apache-2.0
// What servers do to their connections: limit their streams, let them age, never answer them, restart beneath them.
#include <support/call_once.hpp>
#include <support/process.hpp>
#include <support/sockets.hpp>
#include <support/steady_load.hpp>
#include <support/wait.hpp>

#include <millrace/metrics/counters.hpp>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;

namespace {

/// Allows so many streams on a connection, and answers nothing until it is told to. Counts what each connection has in flight.
class crowded_server final : public Echo::CallbackService {
 public:
  explicit crowded_server(int max_streams) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, max_streams);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~crowded_server() override {
    answer();
    server_->Shutdown();
  }

  /// Those that wait for it, and from now on each at once.
  void answer() {
    std::vector<held_call> held;
    {
      std::lock_guard const lock(mutex_);
      answering_ = true;
      held.swap(held_);
    }
    for (held_call const& one : held) finish(one);
  }

  int port() const noexcept { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  std::size_t held() const {
    std::lock_guard const lock(mutex_);
    return held_.size();
  }
  std::size_t connections() const {
    std::lock_guard const lock(mutex_);
    return in_flight_.size();
  }
  /// The most that one connection had in flight.
  int most_on_one() const {
    std::lock_guard const lock(mutex_);
    return most_on_one_;
  }

 private:
  struct held_call {
    std::string peer;
    grpc::ServerUnaryReactor* reactor;
  };

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, echo::EchoRequest const* request,
                                EchoReply* reply) override {
    reply->set_text(request->text());
    held_call const one{context->peer(), context->DefaultReactor()};
    if (!enter(one)) finish(one);
    return one.reactor;
  }

  // whether it is to wait
  bool enter(held_call const& one) {
    std::lock_guard const lock(mutex_);
    most_on_one_ = std::max(most_on_one_, ++in_flight_[one.peer]);
    if (!answering_) held_.push_back(one);
    return !answering_;
  }

  void finish(held_call const& one) {
    {
      std::lock_guard const lock(mutex_);
      --in_flight_[one.peer];
    }
    one.reactor->Finish(grpc::Status::OK);
  }

  int port_ = 0;
  mutable std::mutex mutex_;
  bool answering_ = false;
  std::map<std::string, int> in_flight_;  // by the client's socket
  int most_on_one_ = 0;
  std::vector<held_call> held_;
  std::unique_ptr<grpc::Server> server_;
};

/// The most calls that a slot was given at once, and how many attempts were not the first.
struct crowding final : observer {
  using observer::on;
  void on(events::picked const& event) noexcept override { most = std::max(most, event.in_flight); }
  void on(events::retry_scheduled const&) noexcept override { ++retries; }
  std::uint32_t most = 0;
  int retries = 0;
};

/// A port where connections are accepted, by the kernel, and nobody ever reads or writes.
class silent_server {
 public:
  silent_server() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener_, 64) == 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~silent_server() { close(listener_); }
  silent_server(silent_server const&) = delete;
  silent_server& operator=(silent_server const&) = delete;

  int port() const noexcept { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int listener_;
  int port_ = 0;
};

void end(millrace::loop& loop, steady_load& calls) {
  calls.stop();
  run_until(loop, "the calls in flight to end", [&] { return calls.in_flight() == 0; });
  INFO("failed: " << calls.told());
  CHECK(calls.failures().empty());
}

}  // namespace

// ---- the peer's limit of streams

TEST_CASE("limits: a thousand calls at once where a connection may have a hundred are ten connections' load",
          "[live][limits]") {
  crowded_server server(100);
  crowding seen;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 10, .observer = &seen}};
  steady_load calls(pool, 1000);
  run_until(loop, "a thousand calls at the server", [&] { return server.held() == 1000; });
  CHECK(server.connections() == 10);
  CHECK(established_to(server.port()) == 10);
  pool_snapshot const now = pool.snapshot();
  CHECK(now.waiting == 0);
  CHECK(now.slots.size() == 10);
  for (slot_snapshot const& one : now.slots) CHECK(one.in_flight == 100);

  server.answer();
  run_until(loop, "5000 answers", [&] { return calls.ok() >= 5000; });
  end(loop, calls);
  CHECK(server.most_on_one() == 100);
  CHECK(seen.most == 100);
  CHECK(seen.retries == 0);
}

TEST_CASE("trap T26: calls beyond what the slots carry wait in the pool, where they can be seen",
          "[live][limits][T26]") {
  crowded_server server(100);
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 2}};
  steady_load calls(pool, 300);
  run_until(loop, "two full connections", [&] { return server.held() == 200; });
  CHECK(pool.snapshot().in_flight == 200);
  CHECK(pool.snapshot().waiting == 100);
  server.answer();
  run_until(loop, "1000 answers", [&] { return calls.ok() >= 1000; });
  end(loop, calls);
  CHECK(server.most_on_one() == 100);
}

// ---- connections that age

TEST_CASE("limits: connections grow old and are replaced under load, and no call fails", "[live][limits]") {
  for (std::uint32_t const slots : {1u, 3u}) {
    INFO("with " << slots << " slots");
    echo_process backend({"--max-connection-age", "600ms", "--max-connection-age-grace", "10s"});
    counters seen;
    millrace::loop loop;
    millrace::pool pool{loop, {.target = backend.address(), .min_slots = slots, .max_slots = slots, .observer = &seen}};
    steady_load calls(pool, 64);
    run_until(loop, "each connection to be replaced four times",
              [&] { return seen.endpoint(backend.address()).connections_opened >= 5 * slots; });
    end(loop, calls);
    CHECK(seen.endpoint(backend.address()).connections_lost >= 4 * slots);
  }
}

// ---- a backend that accepts connections and says nothing

TEST_CASE("limits: a silent backend beside a good one costs no call anything", "[live][limits]") {
  silent_server silent;
  echo_process good;
  counters seen;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = silent.address() + "," + good.address(), .observer = &seen}};
  steady_load calls(pool, 64);
  run_until(loop, "2000 answers", [&] { return calls.ok() >= 2000; });
  end(loop, calls);
  // its first dial is still under way, so nobody can have waited for that
  CHECK(seen.endpoint(silent.address()).dials == 1);
  CHECK(pool.snapshot().slots[0].state == slot_state::connecting);
  CHECK(seen.endpoint(silent.address()).picks == 0);
  CHECK(seen.total().retries + seen.total().transparent_retries == 0);
}

TEST_CASE("limits: with nothing but a silent backend a call ends at its deadline, and says what it waited for",
          "[live][limits]") {
  silent_server silent;
  for (bool const wait_for_ready : {false, true}) {
    millrace::loop loop;
    millrace::pool pool{loop, {.target = silent.address()}};
    auto const reply = call_once(loop, pool, saying("x"), {.timeout = 300ms, .wait_for_ready = wait_for_ready});
    REQUIRE(reply.has_error());
    CHECK(reply.error().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    CHECK(why(reply) == "Deadline Exceeded before a slot was free: no endpoint is ready; " + silent.address() +
                            ": not connected yet");
  }
}

TEST_CASE("limits: a silent backend's dial times out, which ends calls that do not wait and is told to those that do",
          "[live][limits]") {
  silent_server silent;
  for (bool const wait_for_ready : {false, true}) {
    millrace::loop loop;
    millrace::pool pool{loop, {.target = silent.address(), .slot = {.dial_timeout = 200ms}}};
    auto const reply = call_once(loop, pool, saying("x"), {.timeout = 2s, .wait_for_ready = wait_for_ready});
    REQUIRE(reply.has_error());
    CHECK(reply.error().error_code() ==
          (wait_for_ready ? grpc::StatusCode::DEADLINE_EXCEEDED : grpc::StatusCode::UNAVAILABLE));
    CHECK_THAT(why(reply), Catch::EndsWith("no endpoint is ready; " + silent.address() + ": the dial timed out"));
  }
}

// ---- backends that restart

TEST_CASE("limits: three backends are restarted one after the other under load, and no call fails", "[live][limits]") {
  for (int const signal : {SIGKILL, SIGTERM}) {
    INFO("by signal " << signal);
    std::array<echo_process, 3> backends;
    counters seen;
    millrace::loop loop;
    millrace::pool pool{loop,
                        {.target = backends[0].address() + "," + backends[1].address() + "," + backends[2].address(),
                         .slot = {.backoff = {.initial = 20ms, .max = 200ms}},
                         .observer = &seen}};
    steady_load calls(pool, 64);
    for (echo_process& one : backends) {
      auto const at = [&]() -> counters::endpoint_counts const& { return seen.endpoint(one.address()); };
      run_until(loop, "every backend to be in use", [&] { return pool.ready() == 3 && at().ok() > 100; });
      one.signal(signal);
      run_until(loop, "the backend to end", [&] { return one.ended(); });
      run_until(loop, "its loss to be noticed", [&] { return at().connections_lost == 1; });
      int const before = calls.ok();
      run_until(loop, "300 calls on the others", [&] { return calls.ok() > before + 300; });
      one.start();
      auto const picks = at().picks;
      run_until(loop, "the backend to be back in use",
                [&] { return at().connections_opened == 2 && at().picks > picks + 100; });
    }
    end(loop, calls);
  }
}
