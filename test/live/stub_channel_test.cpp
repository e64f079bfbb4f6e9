// SPDX-License-Identifier: Apache-2.0
// Vanilla stubs on pool::stub_channel, the loop on a thread of its own.
#include <support/certificates.hpp>
#include <support/http2_server.hpp>
#include <support/sockets.hpp>
#include <support/talk_calls.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <millrace/metrics/observer.hpp>
#include <millrace/pool/pool.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using talk::Line;
using talk::Talk;

namespace {

std::chrono::system_clock::time_point in(duration after) {
  return std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::milliseconds>(after);
}

/// A pool whose loop runs on a thread, and its channel.
class running_pool {
 public:
  explicit running_pool(pool_params params)
      : loop_(std::in_place),
        pool_(std::in_place, *loop_, with_stubs(std::move(params))),
        channel(pool_->stub_channel()) {
    thread_ = std::thread([this] { loop_->run(); });
  }
  ~running_pool() { end(); }

  /// On the loop's thread.
  template <class Work>
  auto ask(Work work) {
    return asio::post(*loop_, asio::use_future([&] { return work(*pool_); })).get();
  }

  /// On all slots.
  std::uint32_t in_flight() {
    return ask([](millrace::pool& pool) {
      std::uint32_t all = 0;
      for (slot_snapshot const& one : pool.snapshot().slots) all += one.in_flight;
      return all;
    });
  }

  void wait_for_ready(std::uint32_t slots) {
    wait_until("slots to be ready", [&] { return ask([](millrace::pool& pool) { return pool.ready(); }) == slots; });
  }

  std::future<lease> acquire(acquire_params how) {
    return ask([how](millrace::pool& from) { return from.async_acquire(how, asio::use_future); });
  }

  std::future<void> drain(duration grace) {
    return asio::post(*loop_, asio::use_future([this, grace] { return pool_->async_drain(grace, asio::use_future); }))
        .get();
  }

  /// Destroys pool and loop, but not the channel.
  void end() {
    if (!loop_) return;
    loop_->stop();
    thread_.join();
    pool_.reset();
    loop_.reset();
  }

 private:
  static pool_params with_stubs(pool_params params) {
    params.stub_calls = true;
    return params;
  }

  std::optional<millrace::loop> loop_;
  std::optional<millrace::pool> pool_;
  std::thread thread_;

 public:
  std::shared_ptr<grpc::ChannelInterface> channel;
};

std::string target_of(auto const& servers) {
  std::string all;
  for (talk_server const& one : servers) all += (all.empty() ? "" : ",") + one.address();
  return all;
}

grpc::Status say(std::shared_ptr<grpc::ChannelInterface> const& channel, Line const& line = {},
                 duration timeout = patience) {
  grpc::ClientContext context;
  context.set_deadline(in(timeout));
  Line reply;
  return Talk::NewStub(channel)->Say(&context, line, &reply);
}

Line held() {
  Line line;
  line.set_hold(true);
  return line;
}

Line failing(grpc::StatusCode code) {
  Line line;
  line.set_code(code);
  return line;
}

/// A call that is answered when its server lets go.
std::future<grpc::Status> hold(std::shared_ptr<grpc::ChannelInterface> const& channel) {
  return std::async(std::launch::async, [channel] { return say(channel, held()); });
}

/// Takes connections and says nothing: a dial to it does not end.
class silent_listener {
 public:
  silent_listener() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(listen(socket_, 8) == 0);
    REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    port_ = ntohs(at.sin_port);
  }
  ~silent_listener() { close(socket_); }
  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int const socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port_ = 0;
};

void wait_until_held(talk_server const& server, int calls) {
  wait_until("calls to be held", [&] { return server.held() == calls; });
}

}  // namespace

TEST_CASE("trap T39: through a stub channel each API and each kind of call is balanced over the servers and counted",
          "[live][stub][T39]") {
  std::array<talk_server, 3> servers;
  running_pool pool({.target = target_of(servers)});
  pool.wait_for_ready(3);
  int calls = 0;
  for (api const how : every_api) {
    for (kind const what : every_kind) {
      INFO("api " << static_cast<int>(how) << ", kind " << static_cast<int>(what));
      for (int call = 0; call < 3; ++call) {
        grpc::ClientContext context;
        context.set_deadline(in(patience));
        auto const got = talk_once(pool.channel, how, what, context);
        INFO(got.status.error_message());
        CHECK(got.status.ok());
        CHECK(got.text == expected_text(what));
        CHECK(pool.in_flight() == 0);
      }
      ++calls;
      for (auto const& one : servers) CHECK(one.calls() == calls);
    }
  }
}

TEST_CASE("stub channel: a generic stub of byte buffers", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  grpc::GenericStub stub(pool.channel);
  grpc::ClientContext context;
  context.set_deadline(in(patience));
  grpc::Slice const text("\x0a\x02ho");
  grpc::ByteBuffer const request(&text, 1);
  grpc::ByteBuffer reply;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/millrace.talk.Talk/Say", {}, &request, &reply,
                 [&](grpc::Status status) { done.set_value(status); });
  CHECK(done.get_future().get().ok());
  CHECK(reply.Length() == 4);
}

TEST_CASE("stub channel: a call in flight is seen in the pool's counts", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  auto call = hold(pool.channel);
  wait_until_held(server, 1);
  CHECK(pool.in_flight() == 1);
  server.let_go();
  CHECK(call.get().ok());
  CHECK(pool.in_flight() == 0);
}

TEST_CASE("stub channel: the first call uses the pool's connection, and opens none of its own", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_slots = 1});
  CHECK(say(pool.channel).ok());
  CHECK(established_to(server.port()) == 1);
}

TEST_CASE("stub channel: calls avoid a server that was killed", "[live][stub]") {
  std::array<talk_server, 3> servers;
  running_pool pool({.target = target_of(servers)});
  pool.wait_for_ready(3);
  servers[1].stop();
  pool.wait_for_ready(2);
  for (int call = 0; call < 10; ++call) CHECK(say(pool.channel).ok());
  CHECK(servers[0].calls() == 5);
  CHECK(servers[2].calls() == 5);
}

TEST_CASE("stub channel: calls that find every slot full make the pool grow, and are never refused", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_slots = 3, .max_calls_per_slot = 1});
  pool.wait_for_ready(1);
  std::vector<std::future<grpc::Status>> calls;
  for (std::uint32_t slots = 1; slots < 3; ++slots) {
    // one fills the slot that is ready now; the next finds it full
    for (int more = 0; more < 2; ++more) calls.push_back(hold(pool.channel));
    wait_until_held(server, static_cast<int>(calls.size()));
    pool.wait_for_ready(slots + 1);
  }
  CHECK(established_to(server.port()) == 3);
  server.let_go();
  for (auto& one : calls) CHECK(one.get().ok());
  CHECK(pool.in_flight() == 0);
}

TEST_CASE("stub channel: a pool that grows before its slots are full does so for stubs' calls", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_slots = 3, .scaling = {.grow_at = 2}});
  pool.wait_for_ready(1);
  std::vector<std::future<grpc::Status>> calls;
  for (std::uint32_t slots = 1; slots <= 3; ++slots) {
    pool.wait_for_ready(slots);
    for (std::size_t const until = 2 * slots + 1; calls.size() < until;) {
      calls.push_back(hold(pool.channel));
      wait_until_held(server, static_cast<int>(calls.size()));
    }
  }
  server.let_go();
  for (auto& one : calls) CHECK(one.get().ok());
}

TEST_CASE("stub channel: the engine's calls keep to max_in_flight with those of stubs", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_in_flight = 1});
  auto call = hold(pool.channel);
  wait_until_held(server, 1);
  CHECK_THROWS_AS(pool.acquire({.timeout = 20ms}).get(), boost::system::system_error);
  auto waits = pool.acquire({.timeout = patience});
  server.let_go();
  CHECK(call.get().ok());
  lease got = waits.get();
  pool.ask([&](millrace::pool&) { return got.release(status_code::ok), 0; });
}

TEST_CASE("stub channel: a slot that is full with the engine's calls is full for stubs", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_slots = 2, .max_calls_per_slot = 1});
  lease got = pool.acquire({.timeout = patience}).get();
  CHECK(say(pool.channel).ok());
  pool.wait_for_ready(2);
  pool.ask([&](millrace::pool&) { return got.release(status_code::ok), 0; });
}

TEST_CASE("stub channel: deadlines and sizes are enforced on this side", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address(), .max_response_bytes = 1000, .max_request_bytes = 3000});
  CHECK(say(pool.channel, held(), 50ms).error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  server.let_go();
  Line line;
  line.set_text(std::string(2000, 'x'));
  CHECK(say(pool.channel, line).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  int const before = server.calls();
  line.set_text(std::string(4000, 'x'));
  CHECK(say(pool.channel, line).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(server.calls() == before);
  CHECK(pool.in_flight() == 0);
}

TEST_CASE("stub channel: what a context asks for, and what it tells, is as on any channel", "[live][stub]") {
  grpc::SslServerCredentialsOptions keys;
  keys.pem_key_cert_pairs.push_back({test_key, test_certificate});
  talk_server server(0, grpc::SslServerCredentials(keys));
  auto const trusting =
      grpc::SslCredentials({.pem_root_certs = test_certificate, .pem_private_key = {}, .pem_cert_chain = {}});
  auto args = std::make_shared<grpc::ChannelArguments>();
  args->SetUserAgentPrefix("mine/1");
  running_pool pool({.target = server.address(), .credentials = trusting, .channel_args = args});
  grpc::ClientContext context;
  context.set_deadline(in(patience));
  context.set_authority("localhost");
  context.set_credentials(grpc::AccessTokenCredentials("secret"));
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  context.AddMetadata("x-key", "value");
  Line line, reply;
  line.set_text(std::string(100, 'x'));
  grpc::Status const status = Talk::NewStub(pool.channel)->Say(&context, line, &reply);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(reply.text() == line.text());
  CHECK(context.peer() == "ipv4:" + server.address());
  CHECK(context.auth_context()->IsPeerAuthenticated());
  CHECK(server.last_authority() == "localhost");
  CHECK(server.last_sent("authorization") == "Bearer secret");
  CHECK(server.last_sent("x-key") == "value");
  CHECK_THAT(server.last_sent("user-agent"), Catch::StartsWith("mine/1 grpc-c++/"));
}

TEST_CASE("stub channel: a cancelled call, and one whose end nobody asks for, are counted off", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  {
    grpc::ClientContext context;
    auto call = std::async(std::launch::async, [&] {
      Line reply;
      return Talk::NewStub(pool.channel)->Say(&context, held(), &reply);
    });
    wait_until_held(server, 1);
    context.TryCancel();
    CHECK(call.get().error_code() == grpc::StatusCode::CANCELLED);
    CHECK(pool.in_flight() == 0);
  }
  {
    talking::own_queue queue;
    grpc::ClientContext context;
    auto const stream = Talk::NewStub(pool.channel)->PrepareAsyncChat(&context, queue.get());
    stream->StartCall(queue.tag());
    REQUIRE(queue.next());
    CHECK(pool.in_flight() == 1);
  }
  CHECK(pool.in_flight() == 0);
}

TEST_CASE("stub channel: a completion queue may be shut down while a call on it is in flight", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(in(patience));
  auto const call = Talk::NewStub(pool.channel)->PrepareAsyncSay(&context, held(), &queue);
  Line reply;
  grpc::Status status(grpc::StatusCode::UNKNOWN, "not back");
  call->StartCall();
  call->Finish(&reply, &status, &context);
  wait_until_held(server, 1);
  queue.Shutdown();
  server.let_go();
  void* tag = nullptr;
  bool ok = false;
  REQUIRE(queue.Next(&tag, &ok));
  CHECK(tag == &context);
  CHECK(status.ok());
  CHECK_FALSE(queue.Next(&tag, &ok));
}

// ---- nobody is ready

TEST_CASE(
    "stub channel: while nobody can be reached calls fail at once and say why, and those that wait for ready wait",
    "[live][stub]") {
  int port = 0;
  {
    talk_server gone;
    port = gone.port();
  }
  running_pool pool(
      {.target = "127.0.0.1:" + std::to_string(port), .slot = {.backoff = {.initial = 20ms, .max = 50ms}}});
  wait_until("the pool to fail", [&] { return pool.channel->GetState(true) == GRPC_CHANNEL_TRANSIENT_FAILURE; });
  grpc::Status const refused = say(pool.channel);
  CHECK(refused.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(refused.error_message(), Catch::Contains("onnection refused"));
  auto waits = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(in(patience));
    Line reply;
    return Talk::NewStub(pool.channel)->Say(&context, {}, &reply);
  });
  CHECK(waits.wait_for(100ms) == std::future_status::timeout);
  talk_server server(port);
  CHECK(waits.get().ok());
  pool.wait_for_ready(1);
  CHECK(say(pool.channel).ok());
}

TEST_CASE("stub channel: the state is the pool's, and can be waited for", "[live][stub]") {
  std::array<talk_server, 2> servers;
  running_pool pool({.target = target_of(servers)});
  REQUIRE(pool.channel->WaitForConnected(in(patience)));
  CHECK(pool.channel->GetState(false) == GRPC_CHANNEL_READY);
  pool.wait_for_ready(2);

  // nothing changes
  talking::own_queue queue;
  pool.channel->NotifyOnStateChange(GRPC_CHANNEL_READY, in(20ms), queue.get(), queue.tag());
  CHECK_FALSE(queue.next());
  CHECK_FALSE(pool.channel->WaitForStateChange(GRPC_CHANNEL_READY, in(20ms)));
  // it is another already
  pool.channel->NotifyOnStateChange(GRPC_CHANNEL_IDLE, in(patience), queue.get(), queue.tag());
  CHECK(queue.next());

  pool.channel->NotifyOnStateChange(GRPC_CHANNEL_READY, in(patience), queue.get(), queue.tag());
  servers[0].stop();
  pool.wait_for_ready(1);
  CHECK(pool.channel->GetState(false) == GRPC_CHANNEL_READY);
  servers[1].stop();
  CHECK(queue.next());
  CHECK(pool.channel->GetState(false) != GRPC_CHANNEL_READY);
}

TEST_CASE("stub channel: with pick_first the state is that of the search, then of the one endpoint", "[live][stub]") {
  silent_listener silent;
  std::array<talk_server, 2> servers;
  running_pool pool({.target = silent.address() + "," + target_of(servers), .balance = "pick_first"});
  CHECK(pool.channel->GetState(false) == GRPC_CHANNEL_CONNECTING);
  REQUIRE(pool.channel->WaitForConnected(in(patience)));
  for (int call = 0; call < 10; ++call) CHECK(say(pool.channel).ok());
  CHECK(servers[0].calls() == 10);
  CHECK(pool.ask([](millrace::pool& of) { return of.snapshot().slots.size(); }) == 1);
  servers[0].stop();
  wait_until("the next one", [&] {
    return pool.ask([](millrace::pool& of) { return of.snapshot().chosen; }) ==
           std::vector<std::string>{servers[1].address()};
  });
  wait_until("the channel", [&] { return pool.channel->GetState(false) == GRPC_CHANNEL_READY; });
  CHECK(say(pool.channel).ok());
  CHECK(servers[1].calls() == 1);
}

// ---- the end

TEST_CASE("stub channel: a drain waits for calls in flight, and refuses new ones", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  auto call = hold(pool.channel);
  wait_until_held(server, 1);
  auto drained = pool.drain(patience);
  wait_until("new calls to be refused", [&] { return pool.channel->GetState(false) == GRPC_CHANNEL_SHUTDOWN; });
  grpc::Status const refused = say(pool.channel);
  CHECK(refused.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(refused.error_message(), Catch::Contains("pool"));
  CHECK(drained.wait_for(0s) == std::future_status::timeout);
  server.let_go();
  CHECK(call.get().ok());
  CHECK_NOTHROW(drained.get());
}

TEST_CASE("stub channel: when the grace of a drain is over the calls left are left to themselves", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  auto call = hold(pool.channel);
  wait_until_held(server, 1);
  CHECK_THROWS_AS(pool.drain(20ms).get(), boost::system::system_error);
  server.let_go();
  CHECK(call.get().ok());
}

TEST_CASE("stub channel: pool and loop may go while calls are in flight and the channel is held", "[live][stub]") {
  for (api const how : every_api) {
    talk_server server;
    running_pool pool({.target = server.address()});
    auto call = hold(pool.channel);
    wait_until_held(server, 1);
    pool.end();
    server.let_go();
    CHECK(call.get().ok());
    CHECK(pool.channel->GetState(true) == GRPC_CHANNEL_SHUTDOWN);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    CHECK(talk_once(pool.channel, how, kind::unary, context).status.error_code() == grpc::StatusCode::UNAVAILABLE);
  }
}

TEST_CASE("stub channel: a stream goes on without the pool, and a call that was only prepared fails", "[live][stub]") {
  talk_server server;
  running_pool pool({.target = server.address()});
  auto const stub = Talk::NewStub(pool.channel);
  grpc::ClientContext context;
  auto const stream = stub->Chat(&context);
  Line line = talking::line();
  REQUIRE(stream->Write(line));
  REQUIRE(stream->Read(&line));

  talking::own_queue queue;
  grpc::ClientContext other;
  auto const prepared = stub->PrepareAsyncSay(&other, line, queue.get());
  pool.end();
  grpc::Status status;
  prepared->StartCall();
  prepared->Finish(&line, &status, queue.tag());
  queue.next();
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);

  CHECK(stream->Write(talking::line()));
  REQUIRE(stream->Read(&line));
  CHECK(line.text() == "ho");
  stream->WritesDone();
  CHECK(stream->Finish().ok());
}

TEST_CASE("stub channel: calls on a slot that still connects fail when the pool goes", "[live][stub]") {
  silent_listener mute;
  running_pool pool({.target = mute.address()});
  wait_until("the dial", [&] { return established_to(mute.port()) == 1; });
  auto call = std::async(std::launch::async, [&] { return say(pool.channel); });
  wait_until("it to be counted", [&] { return pool.in_flight() == 1; });
  pool.end();
  grpc::Status const status = call.get();
  INFO(status.error_message());
  CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("stub channel: a loop runs while a stub channel exists, and no longer", "[live][stub]") {
  talk_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .stub_calls = true}};
  auto channel = pool.stub_channel();
  std::thread thread([&] { loop.run(); });
  CHECK(say(channel).ok());
  channel.reset();
  thread.join();
}

TEST_CASE("stub channel: only of a pool that allows it", "[live][stub]") {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = "127.0.0.1:1"}};
  CHECK_THROWS_WITH(pool.stub_channel(), Catch::Contains("pool_params.stub_calls"));
}

// ---- what the pool learns

namespace {

// what pickers were told, in order: the pool's own, then the channel's
struct told {
  std::mutex mutex;
  std::array<std::vector<status_code>, 2> codes;
  int made = 0;

  std::vector<status_code> by(std::size_t which) {
    std::lock_guard const lock(mutex);
    return codes[which];
  }
};

class listening_picker {
 public:
  listening_picker(told& to, std::size_t which) : to_(&to), which_(which) {}
  void rebuild(std::span<balance::candidate const> ready) { count_ = ready.size(); }
  std::optional<std::size_t> pick(balance::pick_info const&) noexcept {
    return count_ > 0 ? std::optional<std::size_t>(0) : std::nullopt;
  }
  void on_done(balance::done_info const& done) noexcept {
    std::lock_guard const lock(to_->mutex);
    to_->codes[which_].push_back(done.code);
  }

 private:
  told* to_;
  std::size_t which_;
  std::size_t count_ = 0;
};

}  // namespace

TEST_CASE("stub channel: pickers hear how each call went, in order, a failure at once", "[live][stub]") {
  talk_server server;
  told heard;
  running_pool pool({.target = server.address(), .make_picker = [&] {
                       return balance::any_picker("listening",
                                                  listening_picker(heard, static_cast<std::size_t>(heard.made++)));
                     }});
  std::vector<status_code> const expected{status_code::ok, status_code::ok, status_code::ok, status_code::not_found};
  for (int call = 0; call < 3; ++call) CHECK(say(pool.channel).ok());
  CHECK(say(pool.channel, failing(grpc::StatusCode::NOT_FOUND)).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(heard.by(1) == expected);
  wait_until("the pool to hear of them", [&] { return heard.by(0) == expected; });
}

// ---- health

namespace {

/// Where its endpoints' health is, by address.
class health_log final : public observer {
 public:
  using observer::on;
  void on(events::health_changed const& what) noexcept override {
    std::lock_guard const lock(mutex_);
    now_[std::string(what.endpoint)] = what.to;
  }

  bool is(std::string const& address, std::string_view wanted) {
    std::lock_guard const lock(mutex_);
    auto const known = now_.find(address);
    return (known != now_.end() ? std::string_view(known->second) : "healthy") == wanted;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> now_;
};

/// Two servers with gRPC's own health service, on a pool that heeds their health.
struct two_servers {
  explicit two_servers(pool_params params) : pool(with(std::move(params))) {
    wait_until("both to take calls",
               [&] { return say(pool.channel).ok() && servers[0].calls() > 0 && calls_to_1() > 0; });
  }
  ~two_servers() { grpc::EnableDefaultHealthCheckService(false); }

  pool_params with(pool_params params) {
    params.target = target_of(servers);
    params.observer = &log;
    return params;
  }
  void wait_for(std::size_t server, std::string_view wanted) {
    wait_until(wanted, [&] { return log.is(servers[server].address(), wanted); });
    pool.ask([](millrace::pool&) { return 0; });  // what was told is published by then
  }
  int calls_to_1() const { return servers[1].calls(); }

  struct switched_on {
    switched_on() { grpc::EnableDefaultHealthCheckService(true); }
  } health_service;
  std::array<talk_server, 2> servers;
  health_log log;
  running_pool pool;
};

}  // namespace

TEST_CASE("stub channel: a server that says NOT_SERVING gets no calls until it serves", "[live][stub][health]") {
  two_servers on({.panic_threshold = 0.5, .health_check = health::watch_params{}});
  on.servers[1].health().SetServingStatus("", false);
  on.wait_for(1, "unhealthy");
  int const before = on.calls_to_1();
  for (int call = 0; call < 6; ++call) CHECK(say(on.pool.channel).ok());
  CHECK(on.calls_to_1() == before);
  on.servers[1].health().SetServingStatus("", true);
  on.wait_for(1, "healthy");
  for (int call = 0; call < 6; ++call) CHECK(say(on.pool.channel).ok());
  CHECK(on.calls_to_1() == before + 3);
}

TEST_CASE("stub channel: when all are unhealthy and there is no panic, calls fail and say why",
          "[live][stub][health]") {
  two_servers on({.panic_threshold = 0, .health_check = health::watch_params{}});
  for (std::size_t each = 0; each < 2; ++each) {
    on.servers[each].health().SetServingStatus("", false);
    on.wait_for(each, "unhealthy");
  }
  CHECK(on.pool.channel->GetState(true) == GRPC_CHANNEL_TRANSIENT_FAILURE);
  int const before = on.servers[0].calls() + on.calls_to_1();
  for (bool const wait_for_ready : {false, true}) {
    grpc::ClientContext context;
    context.set_deadline(in(patience));
    context.set_wait_for_ready(wait_for_ready);
    Line reply;
    grpc::Status const status = Talk::NewStub(on.pool.channel)->Say(&context, {}, &reply);
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK_THAT(status.error_message(), Catch::Contains("the server says NOT_SERVING"));
  }
  CHECK(on.servers[0].calls() + on.calls_to_1() == before);
  CHECK(established_to(on.servers[0].port()) == 1);
  CHECK(established_to(on.servers[1].port()) == 1);
}

TEST_CASE("stub channel: while a server is asked for its health calls go on that connection, and no other is made",
          "[live][stub][health]") {
  http2_server server{[](http2_server::exchange& call) {
    if (call.number() == 1) return;  // the question
    call.headers();
    call.message("");
    call.trailers({{"grpc-status", "0"}});
  }};
  running_pool pool({.target = server.address(), .health_check = health::watch_params{.initial_timeout = patience}});
  wait_until("the question", [&] { return server.requests() == 1; });
  pool.wait_for_ready(1);
  pool.ask([](millrace::pool&) { return 0; });
  CHECK(pool.channel->GetState(true) == GRPC_CHANNEL_CONNECTING);
  CHECK(say(pool.channel).ok());
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  Line reply;
  CHECK(Talk::NewStub(pool.channel)->Say(&context, {}, &reply).ok());
  CHECK(server.connections() == 1);
}

TEST_CASE("stub channel: a server whose calls fail is ejected, and on probation gets one call at a time",
          "[live][stub][health]") {
  two_servers on({.accrual = health::accrual_params{
                      .consecutive_failures = 2, .success_rate = 0, .base_ejection = 50ms, .max_ejection = 50ms}});
  on.servers[1].end_with(grpc::StatusCode::UNAVAILABLE);
  wait_until("it to be ejected", [&] {
    say(on.pool.channel);
    return !on.log.is(on.servers[1].address(), "healthy");
  });
  on.servers[1].end_with(grpc::StatusCode::OK);
  on.wait_for(1, "probing");
  std::vector<std::future<grpc::Status>> calls;
  for (int call = 1; call <= 6; ++call) {
    calls.push_back(hold(on.pool.channel));
    wait_until("it to be held", [&] { return on.servers[0].held() + on.servers[1].held() == call; });
  }
  CHECK(on.servers[0].held() == 5);
  CHECK(on.servers[1].held() == 1);
  on.servers[1].let_go();
  on.wait_for(1, "healthy");  // by that one
  on.servers[0].let_go();
  for (auto& one : calls) CHECK(one.get().ok());
  int const before = on.calls_to_1();
  for (int call = 0; call < 6; ++call) CHECK(say(on.pool.channel).ok());
  CHECK(on.calls_to_1() == before + 3);
}

TEST_CASE("stub channel: a server whose calls fail more often than the other's is ejected", "[live][stub][health]") {
  two_servers on({.outlier = health::outlier_params{
                      .interval = 20ms,
                      .base_ejection_time = patience,
                      .success_rate = std::nullopt,
                      .failure_percentage = health::failure_percentage_params{
                          .threshold = 50, .enforcement = 100, .minimum_hosts = 2, .request_volume = 1}}});
  on.servers[1].end_with(grpc::StatusCode::INTERNAL);
  wait_until("it to be ejected", [&] {
    say(on.pool.channel);
    return on.log.is(on.servers[1].address(), "unhealthy");
  });
  on.wait_for(1, "unhealthy");
  int const before = on.calls_to_1();
  for (int call = 0; call < 6; ++call) CHECK(say(on.pool.channel).ok());
  CHECK(on.calls_to_1() == before);
}

TEST_CASE("stub channel: four threads at once", "[live][stub]") {
  constexpr int calls_a_thread = 400;
  std::array<talk_server, 2> servers;
  running_pool pool({.target = target_of(servers), .max_calls_per_slot = 2, .balance = "least_request"});
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int call = 0; call < calls_a_thread; ++call) {
        grpc::ClientContext context;
        context.set_deadline(in(patience));
        kind const what = every_kind[call % 4];
        auto const got = talk_once(pool.channel, every_api[thread], what, context);
        good += got.status.ok() && got.text == expected_text(what);
      }
    });
  }
  for (auto& one : threads) one.join();
  CHECK(good == 4 * calls_a_thread);
  CHECK(servers[0].calls() + servers[1].calls() == 4 * calls_a_thread);
  CHECK(pool.in_flight() == 0);
}
