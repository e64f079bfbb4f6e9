// SPDX-License-Identifier: Apache-2.0
// Write coalescing: when it happens, and that no way out of a turn leaves a socket corked.
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop_group.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/socket_mutator.hpp>
#include <millrace/pool/turn_cork.hpp>
#include <millrace/sim/port.hpp>

#include <support/call_once.hpp>
#include <support/certificates.hpp>
#include <support/corked.hpp>
#include <support/echo_server.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <grpcpp/alarm.h>
#include <grpcpp/security/credentials.h>
#include <boost/asio/post.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <stdexcept>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;

namespace {

/// A turn_cork on one end of a real connection, which may be exchanged for another.
struct corked_connection {
  explicit corked_connection(millrace::loop& on, cork_params rule = {.min_in_flight = 0}) {
    cork.emplace(on, rule, turn_cork::source::to<&corked_connection::socket>(*this));
  }
  int socket() {
    ++asked;
    return now;
  }
  void write(int times) {
    for (int at = 0; at < times; ++at) cork->before_write(64);
  }

  tcp_pair first;
  tcp_pair second;
  int now = first.near();
  int asked = 0;
  std::optional<turn_cork> cork;
};

/// An event of the completion queue, for the other of a turn's two phases.
struct event {
  event(millrace::loop& on, std::function<void()> what) : loop(on), work(std::move(what)) {
    loop.start(op, op_kind::user, "event",
               [&](void* tag) { alarm.Set(&completion_queue(loop), gpr_inf_past(GPR_CLOCK_MONOTONIC), tag); });
  }
  void on_back(completion) { work(); }

  millrace::loop& loop;
  std::function<void()> work;
  grpc::Alarm alarm;
  tag<&event::on_back> op{*this};
};

/// A loop on virtual time.
struct timed_loop {
  void pass(duration time) { port->advance_to(port->now() + time); }
  sim::port* port = new sim::port;
  millrace::loop loop{std::unique_ptr<millrace::port>(port)};
};

std::shared_ptr<grpc::ServerCredentials> server_tls() {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({test_key, test_certificate});
  return grpc::SslServerCredentials(options);
}

}  // namespace

TEST_CASE("cork: from the second write of a turn to its end", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  one.write(3);  // outside of a turn there is no end to wait for
  CHECK_FALSE(is_corked(one.first.near()));
  asio::post(loop, [&] {
    one.write(1);
    CHECK_FALSE(is_corked(one.first.near()));
    one.write(1);
    CHECK(is_corked(one.first.near()));
    CHECK(one.cork->stats().corked);
  });
  loop.run();
  CHECK_FALSE(is_corked(one.first.near()));
  asio::post(loop, [&] {
    one.write(1);  // the first of this turn
    CHECK_FALSE(is_corked(one.first.near()));
  });
  loop.run();
  CHECK(one.cork->stats().corks == 1);
  CHECK(one.cork->stats().longest > duration::zero());
}

TEST_CASE("cork: how long writes were held back is added up", "[live][cork]") {
  timed_loop timed;
  corked_connection one(timed.loop);
  for (auto const held : {3ms, 2ms}) {
    asio::post(timed.loop, [&, held] {
      timed.pass(1h);  // before the cork
      one.write(2);
      timed.pass(held);
    });
    timed.loop.run();
  }
  CHECK(one.cork->stats().corks == 2);
  CHECK(one.cork->stats().held == 5ms);
  CHECK(one.cork->stats().longest == 3ms);
  CHECK(one.cork->stats().failed_uncorks == 0);
}

TEST_CASE("cork: after a slow handler the next ones hold nothing back", "[live][cork]") {
  timed_loop timed;
  corked_connection one(timed.loop);
  asio::post(timed.loop, [&] {
    one.write(2);
    timed.pass(10ms);
    CHECK(is_corked(one.first.near()));
  });
  for (int at = 0; at < 20; ++at) {
    asio::post(timed.loop, [&] {
      CHECK_FALSE(is_corked(one.first.near()));
      timed.pass(10ms);
    });
  }
  timed.loop.run();
  CHECK(one.cork->stats().held == 10ms);
}

TEST_CASE("cork: what the kernel does not let go is counted, and let go in the next turn", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  int const mine = dup(one.first.near());
  one.now = mine;
  asio::post(loop, [&] {
    one.write(2);
    close(mine);
  });
  loop.run();
  CHECK(one.cork->stats().failed_uncorks == 1);
  CHECK(one.cork->stats().corked);
  CHECK(is_corked(one.first.near()));
  REQUIRE(dup2(one.first.near(), mine) == mine);
  asio::post(loop, [&] { one.write(1); });
  loop.run();
  CHECK_FALSE(is_corked(one.first.near()));
  CHECK_FALSE(one.cork->stats().corked);
  CHECK(one.cork->stats().failed_uncorks == 1);
  one.cork.reset();
  close(mine);
}

TEST_CASE("cork: a socket that cannot be corked is tried once a turn", "[live][cork]") {
  int ends[2] = {};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  millrace::loop loop;
  corked_connection one(loop);
  for (int const descriptor : {-1, ends[0]}) {
    one.now = descriptor;
    one.asked = 0;
    asio::post(loop, [&] { one.write(100); });
    loop.run();
    CHECK(one.asked == 1);
  }
  one.now = one.first.near();
  asio::post(loop, [&] { one.write(2); });
  loop.run();
  CHECK(one.cork->stats().corks == 1);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("cork: in a phase of events too", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  event const only(loop, [&] {
    one.write(2);
    CHECK(is_corked(one.first.near()));
  });
  loop.run();
  CHECK_FALSE(is_corked(one.first.near()));
}

TEST_CASE("cork: a turn's depth is that of its deepest write, or of the turn before", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop, {.min_in_flight = 16});
  auto const turn = [&](std::initializer_list<std::uint32_t> in_flight) {
    asio::post(loop, [&] {
      for (auto const depth : in_flight) one.cork->before_write(depth);
    });
    auto const before = one.cork->stats().corks;
    loop.run();
    return one.cork->stats().corks - before;
  };
  CHECK(turn({13, 14, 15}) == 0);
  CHECK(turn({15, 16}) == 1);
  CHECK(turn({1, 2}) == 1);
  CHECK(turn({1, 2}) == 0);
  CHECK(turn({16, 1}) == 1);
}

TEST_CASE("cork: what is held back is let go every so many writes", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop, {.min_in_flight = 0, .flush_every = 4});
  asio::post(loop, [&] {
    REQUIRE(write(one.first.near(), "x", 1) == 1);
    one.write(1 + 1 + 4);
    CHECK(one.cork->stats().corks == 2);
    CHECK(is_corked(one.first.near()));
  });
  loop.run();
  CHECK_FALSE(is_corked(one.first.near()));
}

TEST_CASE("cork: an exception leaves none on, from either phase", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  auto const fail = [&] {
    one.write(2);
    CHECK(is_corked(one.first.near()));
    throw std::runtime_error("from a handler");
  };
  asio::post(loop, fail);
  CHECK_THROWS_AS(loop.run(), std::runtime_error);
  CHECK_FALSE(is_corked(one.first.near()));
  event const only(loop, fail);
  CHECK_THROWS_AS(loop.run(), std::runtime_error);
  CHECK_FALSE(is_corked(one.first.near()));
  asio::post(loop, fail);
  CHECK_THROWS_AS(loop.poll(), std::runtime_error);
  CHECK_FALSE(is_corked(one.first.near()));
  asio::post(loop, fail);
  CHECK_THROWS_AS(loop.run_until(clock::now() + patience), std::runtime_error);
  CHECK_FALSE(is_corked(one.first.near()));
  asio::post(loop, fail);
  CHECK_THROWS_AS(loop.stop(), std::runtime_error);
  CHECK_FALSE(is_corked(one.first.near()));
  CHECK(one.cork->stats().corks == 5);
}

TEST_CASE("cork: an interrupted or stopped turn leaves none on", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  bool later = false;
  for (bool const stop : {false, true}) {
    asio::post(loop, [&, stop] {
      one.write(2);
      CHECK(is_corked(one.first.near()));
      stop ? static_cast<void>(loop.stop()) : loop.interrupt();
    });
    asio::post(loop, [&] { later = true; });
    loop.run();
    CHECK_FALSE(is_corked(one.first.near()));
    CHECK(later == stop);  // what an interrupt leaves is run later
  }
}

TEST_CASE("cork: a loop that is destroyed after an exception leaves none on", "[live][cork]") {
  tcp_pair pair;
  {
    millrace::loop loop;
    corked_connection one(loop);
    one.now = pair.near();
    asio::post(loop, [&] {
      one.write(2);
      throw std::runtime_error("the end");
    });
    asio::post(loop, [&] { one.write(2); });
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
  }
  CHECK_FALSE(is_corked(pair.near()));
}

TEST_CASE("cork: a connection that is replaced in mid-turn is let go, and so is its successor", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop, {.min_in_flight = 0, .flush_every = 1});
  asio::post(loop, [&] {
    one.write(2);
    CHECK(is_corked(one.first.near()));
    one.now = one.second.near();
    one.write(1);
    CHECK_FALSE(is_corked(one.first.near()));
    CHECK(is_corked(one.second.near()));
    one.now = -1;
  });
  loop.run();
  CHECK_FALSE(is_corked(one.second.near()));
  CHECK_FALSE(one.cork->stats().corked);
}

TEST_CASE("cork: one that is destroyed in mid-turn, or whose peer hung up, is let go", "[live][cork]") {
  millrace::loop loop;
  corked_connection one(loop);
  corked_connection other(loop);
  asio::post(loop, [&] {
    one.write(2);
    other.write(2);
    CHECK(is_corked(one.first.near()));
    one.cork.reset();
    CHECK_FALSE(is_corked(one.first.near()));
    other.first.hang_up();
  });
  loop.run();
  CHECK_FALSE(is_corked(other.first.near()));
}

TEST_CASE("cork: without a TCP socket nothing is done", "[live][cork]") {
  int ends[2] = {};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK(second_descriptor(ends[0]) == -1);
  CHECK(second_descriptor(-1) == -1);
  millrace::loop loop;
  corked_connection one(loop);
  asio::post(loop, [&] {
    one.now = -1;
    one.write(2);
    one.now = ends[0];
    one.write(2);
  });
  loop.run();
  CHECK(one.cork->stats().corks == 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("cork: deep turns of calls are corked into fewer segments, none is left so, and every call is answered",
          "[live][cork]") {
  if (!can_tap_sockets()) return;
  bool const secret = GENERATE(false, true);
  INFO((secret ? "over TLS" : "plain"));
  echo_server server(0, secret ? server_tls() : grpc::InsecureServerCredentials());
  std::uint32_t segments[2] = {};
  for (bool const cork : {false, true}) {
    millrace::loop loop;
    millrace::pool pool{loop,
                        {.target = server.address(),
                         .max_slots = 1,
                         .cork = cork,
                         .credentials = secret ? grpc::SslCredentials({test_certificate, {}, {}}) : nullptr}};
    client<Echo> with(pool);
    CHECK(flood(loop, with, 64, 3000) == 3000);
    segments[cork] = data_segments_out(connected_socket(server.port(), side::client));
    slot_snapshot const slot = pool.snapshot().slots[0];
    CHECK((slot.coalescing.corks > 0) == cork);
    CHECK((slot.coalescing.held > duration::zero()) == cork);
    CHECK_FALSE(slot.coalescing.corked);
    CHECK(slot.coalescing.failed_uncorks == 0);
    CHECK(slot.not_coalesced == (cork ? "" : "pool_params.cork is false"));
    CHECK(corked_sockets() == 0);
  }
  INFO(segments[0] << " segments, " << segments[1] << " corked");
  CHECK(segments[1] * 5 < segments[0] * 4);
}

TEST_CASE("cork: shallow load and cork = false never cork", "[live][cork]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool off{loop, {.target = server.address(), .max_slots = 1, .cork = false}};
  client<Echo> plain(off);
  CHECK(flood(loop, plain, 64, 500) == 500);
  CHECK(off.snapshot().slots[0].coalescing.corks == 0);
  millrace::pool shallow{loop, {.target = server.address(), .max_slots = 1}};
  client<Echo> few(shallow);
  CHECK(flood(loop, few, 8, 500) == 500);
  CHECK(shallow.snapshot().slots[0].coalescing.corks == 0);
}

TEST_CASE("cork: a Unix-domain connection works and is never corked", "[live][cork]") {
  std::string const path =
      "unix:" + (std::filesystem::temp_directory_path() / ("millrace-" + std::to_string(getpid()))).string();
  echo_server server(path);
  millrace::loop loop;
  millrace::pool pool{loop, {.target = path, .max_slots = 1, .cork_rule = {.min_in_flight = 0}}};
  client<Echo> with(pool);
  CHECK(flood(loop, with, 64, 500) == 500);
  CHECK(pool.snapshot().slots[0].coalescing.corks == 0);
  CHECK(pool.snapshot().slots[0].not_coalesced == "gRPC has shown no TCP socket");
}

TEST_CASE("cork: an exception from a call's handler leaves none on", "[live][cork]") {
  if (!can_tap_sockets()) return;
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .cork_rule = {.min_in_flight = 1}}};
  client<Echo> with(pool);
  REQUIRE(call_once(loop, with, saying("connected"), {.timeout = patience}).has_value());
  int answered = 0;
  int corked = 0;
  for (int at = 0; at < 8; ++at) {
    with.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = patience},
                                                  [&](rpc_result<EchoReply> reply) { answered += reply.has_value(); });
  }
  // over before it begins, so its handler runs in the phase that starts the others
  with.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.deadline = clock::now()}, [&](rpc_result<EchoReply>) {
    corked = corked_sockets();
    throw std::runtime_error("from a handler");
  });
  CHECK_THROWS_AS(loop.run(), std::runtime_error);
  CHECK(corked > 0);
  CHECK(corked_sockets() == 0);
  loop.run();
  CHECK(answered == 8);
}

TEST_CASE("cork: what streams write in a turn is corked, and let go at its end", "[live][cork]") {
  if (!can_tap_sockets()) return;
  talk_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .cork_rule = {.min_in_flight = 1}}};
  client<talk::Talk> with(pool);
  talk::Line line;
  line.set_text("ho");
  std::deque<bidi_stream<talk::Line, talk::Line>> chats;
  int read = 0;
  auto const exchange = [&](int expected) {
    asio::post(loop, [&] {
      for (auto& chat : chats) {
        chat.async_write(line, [](error_code error) { CHECK_FALSE(error); });
        chat.async_read([&](error_code, std::optional<talk::Line> back) { read += back && back->text() == "ho"; });
      }
    });
    test::run_until(loop, "what was written to be back", [&] { return read == expected; });
    CHECK(corked_sockets() == 0);
  };
  for (int at = 0; at < 4; ++at) chats.push_back(with.async_call<&talk::Talk::Stub::PrepareAsyncChat>());
  exchange(4);
  auto const begun = pool.snapshot().coalescing.corks;
  exchange(8);
  CHECK(pool.snapshot().coalescing.corks > begun);
  CHECK_FALSE(pool.snapshot().coalescing.corked);
  int ended = 0;
  for (auto& chat : chats) chat.async_finish([&](grpc::Status const&) { ++ended; });
  loop.run();
  CHECK(ended == 4);
}

TEST_CASE("cork: the loops of a group cork each their own connections", "[live][cork]") {
  if (!can_tap_sockets()) return;
  echo_server server;
  loop_group group({.size = 2});
  std::deque<millrace::pool> pools;
  std::deque<client<Echo>> clients;
  std::atomic<int> left = 2000;
  std::atomic<int> failed = 0;
  for (millrace::loop& loop : group) {
    pools.emplace_back(loop, pool_params{.target = server.address(), .max_slots = 1});
    clients.emplace_back(pools.back());
  }
  std::function<void(client<Echo>&)> const next = [&](client<Echo>& with) {
    with.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = patience}, [&](rpc_result<EchoReply> reply) {
      failed += reply.has_error();
      if (left.fetch_sub(1) > 0) next(with);
    });
  };
  for (auto& one : clients) {
    for (int at = 0; at < 64; ++at) next(one);
  }
  group.start();
  wait_until("all calls", [&] { return left == -128; });
  group.stop();
  CHECK(failed == 0);
  CHECK(corked_sockets() == 0);
  for (auto& pool : pools) {
    CHECK(pool.snapshot().coalescing.corks > 0);
    CHECK_FALSE(pool.snapshot().coalescing.corked);
  }
}

TEST_CASE("cork: what a slot coalesced is kept when it goes in mid-turn, and is over", "[live][cork]") {
  if (!can_tap_sockets()) return;
  echo_server server;
  echo_server other;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .cork_rule = {.min_in_flight = 0}}};
  lease held;
  REQUIRE(call_once(loop, pool, saying("connected"), {.timeout = patience}).has_value());
  pool.async_acquire({}, [&](error_code, lease got) { held = std::move(got); });
  loop.run();
  REQUIRE(held);
  pool.update_endpoints({{.address = other.address()}});  // the slot drains until it is let go
  asio::post(loop, [&] {
    auto& channel = static_cast<millrace::grpc_channel&>(held.channel());
    channel.before_start();
    channel.before_start();
    CHECK(corked_sockets() > 0);
    CHECK(pool.snapshot().coalescing.corked);
    held.release(status_code::ok);
    CHECK(corked_sockets() == 0);
    CHECK_FALSE(pool.snapshot().coalescing.corked);
  });
  loop.run();
  pool_snapshot const now = pool.snapshot();
  CHECK_FALSE(now.coalescing.corked);
  CHECK(now.coalescing.corks == 1);
  CHECK(now.coalescing.longest > duration::zero());
  CHECK(now.coalescing.held == now.coalescing.longest);
}

TEST_CASE("cork: a pool that goes in mid-turn, calls started, leaves none on", "[live][cork]") {
  if (!can_tap_sockets()) return;
  echo_server server;
  millrace::loop loop;
  std::optional<millrace::pool> pool;
  pool.emplace(loop, pool_params{.target = server.address(), .max_slots = 1, .cork_rule = {.min_in_flight = 1}});
  client<Echo> with(*pool);
  REQUIRE(call_once(loop, with, saying("connected"), {.timeout = patience}).has_value());
  int ended = 0;
  int corked = 0;
  for (int at = 0; at < 8; ++at) {
    with.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {}, [&](rpc_result<EchoReply> const&) { ++ended; });
  }
  asio::post(loop, [&] {
    corked = corked_sockets();
    pool.reset();
  });
  loop.run();
  CHECK(corked > 0);
  CHECK(ended == 8);
  CHECK(corked_sockets() == 0);
}

TEST_CASE("cork: a server that cuts off and returns under load leaves none on", "[live][cork]") {
  if (!can_tap_sockets()) return;
  echo_server first;
  int const port = first.port();
  millrace::loop loop;
  millrace::pool pool{loop,
                      {.target = first.address(),
                       .max_slots = 1,
                       .slot = {.backoff = {.initial = 5ms, .max = 20ms}},
                       .cork_rule = {.min_in_flight = 1}}};
  client<Echo> with(pool);
  CHECK(flood(loop, with, 32, 500) == 500);
  auto const before = pool.snapshot().slots[0].coalescing.corks;
  CHECK(before > 0);
  asio::post(loop, [&] { first.stop(); });
  static_cast<void>(flood(loop, with, 32, 100));
  CHECK(corked_sockets() == 0);
  echo_server again(port);
  run_until(loop, "the slot to be back", [&] { return pool.ready() == 1; });
  CHECK(flood(loop, with, 32, 500) == 500);
  CHECK(pool.snapshot().slots[0].connections > 1);
  CHECK(pool.snapshot().slots[0].coalescing.corks > before);  // counted over both connections
  CHECK(corked_sockets() == 0);
}
