// SPDX-License-Identifier: Apache-2.0
// Stories about the attempts that a stream is made of: tried again, hedged, cut off.
#include "talker.hpp"

#include <millrace/sim/transport.hpp>

#include <support/first_of_all.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using namespace millrace::sim;

namespace {

struct hook_counter final : interceptor {
  hook_set hooks() const noexcept override { return {hook::initial_metadata}; }
  hook_result on_initial_metadata(call_context&, metadata_view) override {
    ++headers;
    return proceed;
  }
  int headers = 0;
};

/// Two endpoints that are connected; streams go to a first, and are hedged at b.
class hedged_pair {
 public:
  explicit hedged_pair(client_params client = {.hedging = retry::hedging_policy{.delay = 20ms}, .idempotent = true},
                       std::shared_ptr<interceptor> looks_on = std::make_shared<hook_counter>())
      : world{{.pool = {.target = "a:1,b:1", .make_picker = test::first_of_all::make},
               .client = std::move(client),
               .interceptors = {std::move(looks_on)}}} {
    world.pool().open();
    world.run_until(10ms);
  }

  server& a() { return world.net()["a:1"]; }
  server& b() { return world.net()["b:1"]; }

  sim::world world;
  call_info info;
};

}  // namespace

TEST_CASE("stream: a server stream belongs to the attempt that begins first, and the other is cut off",
          "[sim][stream][hedge]") {
  hedged_pair on;
  duration const first_begins = GENERATE(5000ms, 30ms, 5ms);
  on.a().stream_with({.messages = 2, .begins_after = first_begins});
  on.b().stream_with({.messages = 3, .begins_after = 15ms, .takes = 1ms});
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.sound());
  bool const overtaken = first_begins == 5s;
  CHECK(one.got.size() == (overtaken ? 3 : 2));
  CHECK(one.got.front() == (overtaken ? "b:1: 0" : "a:1: 0"));
  CHECK(on.info.attempts == (first_begins == 5ms ? 1 : 2));
  CHECK(on.info.hedge_won == overtaken);
  CHECK(on.info.endpoint == (overtaken ? "b:1" : "a:1"));
  CHECK(on.a().in_flight() + on.b().in_flight() == 0);
  check_left_over(on.world, one);
}

TEST_CASE("stream: of two attempts that begin at the same moment one is shown", "[sim][stream][hedge]") {
  auto const counts = std::make_shared<hook_counter>();
  hedged_pair on({.hedging = retry::hedging_policy{.delay = 20ms}, .idempotent = true}, counts);
  on.a().stream_with({.messages = 2, .begins_after = 30ms});
  on.b().stream_with({.messages = 2, .begins_after = 10ms});
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  CHECK(on.info.attempts == 2);
  CHECK(one.got.size() == 2);
  CHECK(one.sound());
  CHECK(counts->headers == 1);
  check_left_over(on.world, one);
}

TEST_CASE("stream: once one attempt has begun no hedge follows, however long its messages take",
          "[sim][stream][hedge]") {
  hedged_pair on;
  on.a().stream_with({.messages = 3, .takes = 1s});
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  CHECK(one.got.size() == 3);
  CHECK(on.info.attempts == 1);
  check_left_over(on.world, one);
}

TEST_CASE("stream: a hedge goes out at once when the first attempt fails, and the last failure is the stream's",
          "[sim][stream][hedge]") {
  hedged_pair on;
  on.a().stream_with({.code = status_code::unavailable, .message = "busy", .trailers_only = true});
  talker one(on.world, call_kind::server_stream, 0);
  SECTION("and wins") {
    on.b().stream_with({.messages = 2});
    one.start();
    on.world.run_for(10ms);  // less than the delay
    REQUIRE(one.end);
    CHECK(one.end->ok());
    CHECK(one.got.size() == 2);
  }
  SECTION("and fails") {
    on.b().stream_with({.code = status_code::unavailable, .message = "busier", .trailers_only = true});
    one.start();
    on.world.run_for(10s);
    REQUIRE(one.end);
    CHECK(one.end->message == "busier");
    CHECK(one.got.empty());
  }
  SECTION("and fails fatally while the first is in flight") {
    on.a().stream_with({.silent = true});
    on.b().stream_with({.code = status_code::not_found, .message = "no such", .trailers_only = true});
    one.start();
    on.world.run_for(10s);
    REQUIRE(one.end);
    CHECK(one.end->code == status_code::not_found);
  }
  check_left_over(on.world, one);
}

TEST_CASE("stream: a hedged server stream that is empty is its attempt's too", "[sim][stream][hedge]") {
  hedged_pair on;
  on.a().stream_with({.silent = true});
  on.b().stream_with({.trailers_only = GENERATE(false, true), .trailers = {{"t", "b"}}});
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got.empty());
  CHECK(on.info.hedge_won);
  check_left_over(on.world, one);
}

TEST_CASE("stream: neither clients' streams nor those not declared idempotent are hedged", "[sim][stream][hedge]") {
  hedged_pair on;
  on.a().stream_with({.silent = true});
  auto const kind = GENERATE(from_range(kinds));
  talker one(on.world, kind, 2);
  one.start({.timeout = 1s, .idempotent = kind != call_kind::server_stream, .info = &on.info});
  on.world.run_for(2s);
  REQUIRE(one.end);
  CHECK(one.end->code == status_code::deadline_exceeded);
  CHECK(on.info.attempts == 1);
  check_left_over(on.world, one);
}

TEST_CASE("stream: cancelled, dropped, out of time, without its pool or loop, a hedged stream ends once",
          "[sim][stream][hedge][cancel]") {
  enum class means { cancel, drop, destroy_pool, drain, stop, deadline };
  auto const how =
      GENERATE(means::cancel, means::drop, means::destroy_pool, means::drain, means::stop, means::deadline);
  for (duration at = 0ms; at < 60ms; at += 1ms) {
    CAPTURE(static_cast<int>(how), at.count());
    hedged_pair on;
    on.a().stream_with({.messages = 5, .begins_after = 30ms, .takes = 4ms});
    on.b().stream_with({.messages = 5, .begins_after = 5ms, .takes = 5ms});
    talker one(on.world, call_kind::server_stream, 0);
    one.start({.timeout = how == means::deadline ? at + 1ns : duration{}});
    on.world.run_for(at);
    switch (how) {
      case means::cancel: one.cancel(); break;
      case means::drop: one.drop(); break;
      case means::destroy_pool: on.world.destroy_pool(); break;
      case means::drain: on.world.drain(1ms); break;
      case means::stop: on.world.stop(1ms); break;
      case means::deadline: break;
    }
    on.world.run_for(5s);
    check_left_over(on.world, one);
  }
}

TEST_CASE("stream: a server stream that does not begin within per_attempt_timeout is tried again elsewhere",
          "[sim][stream][retry]") {
  hedged_pair on({.retry = {.per_attempt_timeout = 100ms}});
  on.a().stream_with({.silent = true});
  on.b().stream_with({.messages = 3, .takes = 1s});  // longer than that, but begun
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got.size() == 3);
  CHECK(on.info.attempts == 2);
  CHECK(on.info.endpoint == "b:1");
  check_left_over(on.world, one);
}

namespace {

/// So much comes in 100 ms from now that the loop takes several turns for it, and looks at its timers in between.
class busy_world {
 public:
  explicit busy_world(client_params client)
      : world{{.pool = {.target = "a:1,b:1", .max_calls_per_slot = 1000, .make_picker = test::first_of_all::make},
               .client = std::move(client)}} {
    world.pool().open();
    world.run_until(10ms);
    a().call_takes(100ms);
    for (int n = 0; n < 600; ++n) world.call("hello", {.retry = &once_, .idempotent = false});
  }

  server& a() { return world.net()["a:1"]; }
  server& b() { return world.net()["b:1"]; }

 private:
  retry::retry_policy const once_{.max_attempts = 1};

 public:
  sim::world world;
};

}  // namespace

TEST_CASE("stream: headers that come when the attempt's time is up are nobody's, nor are the messages behind them",
          "[sim][stream][retry]") {
  client_params client{.retry = {.per_attempt_timeout = 100ms}};
  SECTION("it is tried again") {}
  SECTION("a hedge goes on") {
    client.hedging = retry::hedging_policy{.delay = 20ms};
    client.idempotent = true;
  }
  busy_world on(client);
  std::uint32_t const messages = GENERATE(0u, 3u);
  on.a().stream_with({.messages = messages, .begins_after = 100ms});
  on.b().stream_with({.messages = 3, .begins_after = 90ms});
  talker one(on.world, call_kind::server_stream, 0);
  call_info info;
  one.start({.info = &info});
  on.world.run_for(10s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got == std::vector<std::string>{"b:1: 0", "b:1: 1", "b:1: 2"});
  CHECK(info.attempts == 2);
  check_left_over(on.world, one);
}

TEST_CASE("stream: a hedged one is not that of an attempt whose endpoint was drained before its headers were seen",
          "[sim][stream][hedge][drain]") {
  client_params const client{.hedging = retry::hedging_policy{.delay = 20ms}, .idempotent = true};
  busy_world on(client);
  std::uint32_t const messages = GENERATE(1u, 3u);
  on.a().stream_with({.messages = messages, .begins_after = 100ms, .stuck = 5s});
  on.b().stream_with({.messages = 3, .begins_after = 90ms});
  talker one(on.world, call_kind::server_stream, 0);
  one.start();
  on.world.after(100ms, [&] { on.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  on.world.run_for(10s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got == std::vector<std::string>{"b:1: 0", "b:1: 1", "b:1: 2"});
  check_left_over(on.world, one);
}

TEST_CASE("hedge: an attempt that made it before its endpoint was drained counts", "[sim][hedge][drain]") {
  client_params const client{.hedging = retry::hedging_policy{.delay = 20ms}, .idempotent = true};
  busy_world on(client);
  on.b().call_takes(5s);
  auto& call = on.world.call();
  on.world.after(100ms, [&] { on.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  on.world.run_calls();
  CHECK(call.text() == "a:1: hello");
}

TEST_CASE("retry: an attempt whose own deadline gRPC tells when its time is up is tried again", "[sim][retry]") {
  busy_world on({.retry = {.per_attempt_timeout = 100ms}});
  auto& call = on.world.call();  // answered in that moment too, which is too late
  on.world.run_calls();
  CHECK(call.text() == "b:1: hello");
}

TEST_CASE("stream: attempts that lost are freed when they are back, not with the stream", "[sim][stream][hedge]") {
  hedged_pair on({.hedging = retry::hedging_policy{.max_attempts = 3, .delay = 20ms}, .idempotent = true});
  SECTION("cut off") { on.a().stream_with({.silent = true}); }
  SECTION("failed before") { on.a().stream_with({.code = status_code::unavailable, .trailers_only = true}); }
  on.b().stream_with({.messages = 100, .takes = 1s});
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.info = &on.info});
  on.world.run_for(50s);
  CHECK(one.got.size() > 40);
  CHECK(on.world.net().live_attempts() == 1);
  CHECK(on.a().in_flight() == 0);
  one.drop();
  on.world.run_for(1s);
  check_left_over(on.world, one);
}

TEST_CASE("stream: one has a copy of the policy that it was given", "[sim][stream][retry]") {
  hedged_pair on(client_params{});
  for (server* const at : {&on.a(), &on.b()}) {
    at->stream_with({.code = status_code::unavailable, .trailers_only = true});
  }
  retry::retry_policy policy{.max_attempts = 4, .initial_backoff = 10ms};
  talker one(on.world, call_kind::server_stream, 0);
  one.start({.retry = &policy, .info = &on.info});
  policy.max_attempts = 1;
  on.world.run_for(5s);
  CHECK(on.info.attempts == 4);
}

TEST_CASE("stream: per_attempt_timeout is for what begins with one request", "[sim][stream][retry]") {
  hedged_pair on({.retry = {.per_attempt_timeout = 100ms}});
  on.a().stream_with({.takes = 200ms});
  talker one(on.world, call_kind::client_stream, 3);
  one.start({.info = &on.info});
  on.world.run_for(10s);
  CHECK(one.answer == "012");
  CHECK(on.info.attempts == 1);
  check_left_over(on.world, one);
}

namespace {

int requests_kept = 0;

// a text that is counted
constexpr message_kind counted{
    .size = [](void const* bytes) noexcept { return static_cast<std::string const*>(bytes)->size(); },
    .append_to = [](void const* bytes, std::string& out) { out += *static_cast<std::string const*>(bytes); },
    .share = nullptr,  // nobody needs to
    .release =
        [](void* bytes) noexcept {
          delete static_cast<std::string*>(bytes);
          --requests_kept;
        },
};

}  // namespace

TEST_CASE("stream: a request is kept for further attempts, and let go of when the server begins to answer",
          "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.messages = 2, .begins_after = 100ms, .takes = 1h});
  requests_kept = 1;
  auto const core =
      std::make_shared<client_core>(world.pool(), std::make_unique<sim::transport>(world.net()), client_params{});
  server_stream lines(core, world::called(), message(new std::string("please"), counted), {}, {});
  world.run_for(90ms);
  CHECK(requests_kept == 1);
  world.run_for(30ms);
  CHECK(requests_kept == 0);
  CHECK(world.net()["a"].in_flight() == 1);
}
