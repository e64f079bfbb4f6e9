// SPDX-License-Identifier: Apache-2.0
// Stories about attempts that were cut off and that gRPC does not give back, as their server reads nothing.
#include "talker.hpp"

#include <support/first_of_all.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::sim;

namespace {

constexpr auto terminal = cancellation_type::terminal;

/// One slot that carries one call, and the call that is on it.
world_params full_pool() {
  return {.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}};
}

struct listener final : observer {
  using observer::on;
  void on(events::attempt_finished const& event) noexcept override {
    told.push_back(std::string(event.endpoint) + " " + std::string(to_string(event.code)));
  }
  void on(events::retry_scheduled const& event) noexcept override {
    told.push_back("retry after " + std::string(to_string(event.code)));
  }
  void on(events::call_finished const&) noexcept override { told.emplace_back("call"); }
  std::vector<std::string> told;
};

client_params patient(unsigned max_attempts = 3) {
  return {.retry = {.max_attempts = max_attempts, .initial_backoff = 1ms, .jitter = 0, .per_attempt_timeout = 50ms}};
}

/// Endpoints that are connected, the first of which reads nothing. It is asked first, unless it is avoided.
class stuck_world {
 public:
  explicit stuck_world(duration stuck = 60s, client_params client = patient(), std::string target = "a:1,b:1")
      : world{{.pool = {.target = std::move(target), .make_picker = test::first_of_all::make},
               .client = std::move(client)}} {
    world.add(heard);
    world.net()["a:1"]
        .answer_with({.after = duration::max(), .stuck = stuck})
        .stream_with({.silent = true, .stuck = stuck});
    world.net().add("b:1").call_takes(2ms).stream_with({.messages = 3});
    world.pool().open();
    world.run_until(10ms);
  }

  server& a() { return world.net()["a:1"]; }
  server& b() { return world.net()["b:1"]; }

  listener heard;
  sim::world world;
};

}  // namespace

// ---- before the next attempt

TEST_CASE("retry: an attempt that is stuck beyond its own time is made again elsewhere, once cut_grace is over",
          "[sim][retry]") {
  // back while the second attempt is in flight, then long after the call
  duration const stuck = GENERATE(11ms, 12ms, 13ms, 5s);
  stuck_world story(stuck);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
  CHECK(call.took() == 50ms + cut_grace + 1ms + 2ms);
  CHECK(call.info.attempts == 2);
  CHECK(call.info.endpoint == "b:1");
  CHECK(call.info.hedges == 0);
  CHECK(story.heard.told ==
        std::vector<std::string>{"a:1 DEADLINE_EXCEEDED", "retry after DEADLINE_EXCEEDED", "b:1 OK", "call"});
  CHECK(story.world.pool().snapshot().in_flight == (stuck == 5s ? 1 : 0));
  story.world.run_for(6s);
  CHECK(story.world.pool().snapshot().in_flight == 0);
  CHECK(story.world.net().live_attempts() == 0);
  CHECK(story.heard.told.size() == 4);
}

TEST_CASE("retry: an attempt that is back within cut_grace is not given up", "[sim][retry]") {
  stuck_world story(9ms);
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.took() == 50ms + 9ms + 1ms + 2ms);
  CHECK(story.heard.told.size() == 4);
}

TEST_CASE("retry: each of a call's attempts may be stuck", "[sim][retry]") {
  stuck_world story(GENERATE(30ms, 100ms, 60s));
  story.b().answer_with({.after = duration::max(), .stuck = 60s});
  auto& call = story.world.call();
  story.world.run_calls();
  CHECK(call.code() == status_code::deadline_exceeded);
  CHECK(call.text() == "no answer within per_attempt_timeout");
  CHECK(call.info.origin == call_end::attempt);
  CHECK(call.info.attempts == 3);
  CHECK(call.took() >= 3 * (50ms + cut_grace));
  CHECK(call.took() < 3 * (50ms + cut_grace) + 5ms);
  story.world.run_for(100s);
  CHECK(story.world.net().live_attempts() == 0);
}

TEST_CASE("retry: a call whose first attempt is stuck ends once, whatever ends it, and whenever",
          "[sim][retry][cancel]") {
  enum class fate { cancel, deadline, drain, destroy, stop };
  auto const what = GENERATE(fate::cancel, fate::deadline, fate::drain, fate::destroy, fate::stop);
  bool const streams = GENERATE(false, true);
  duration const stuck = GENERATE(20ms, 1s);
  // while the first is out, in its grace, before the second, while that is out, in its grace, and after
  for (duration when = 48ms; when <= 126ms; when += 1ms) {
    CAPTURE(static_cast<int>(what), streams, stuck / 1ms, when / 1ms);
    stuck_world story(stuck, patient(2));
    story.b().answer_with({.after = duration::max(), .stuck = stuck}).stream_with({.silent = true, .stuck = stuck});
    call_options const options{.timeout = what == fate::deadline ? when + 1ns : 10s};
    talker one(story.world, call_kind::server_stream, 0);
    if (streams) one.start(options);
    call_record* const call = streams ? nullptr : &story.world.call("hello", options);
    story.world.after(when, [&, end = what] {
      switch (end) {
        case fate::cancel: return streams ? one.cancel() : call->cancel(terminal);
        case fate::deadline: return;
        case fate::drain: story.world.drain(0s); return;
        case fate::destroy: return story.world.destroy_pool();
        case fate::stop: static_cast<void>(story.world.stop()); return;
      }
    });
    story.world.run_until(10ms + when + cut_grace + 1ms);
    if (streams) {
      REQUIRE(one.end);
      CHECK(one.ends == 1);
      CHECK(one.sound());
      one.drop();
    } else {
      REQUIRE(call->done());
      CHECK(call->times_finished == 1);
    }
    story.world.run_for(5s);
    CHECK(story.world.net().live_attempts() == 0);
  }
}

TEST_CASE("retry: a call that goes on without its stuck attempt is let go of with the one that is in flight",
          "[sim][retry][drain]") {
  stuck_world story;
  story.b().call_takes(5s);
  auto& call = story.world.call();
  story.world.after(70ms, [&] { story.world.pool().async_drain_endpoint("b:1", 0s, [](error_code) {}); });
  story.world.run_calls();
  CHECK(call.info.origin == call_end::revoked);
  CHECK(call.took() == 70ms);
  story.world.run_for(100s);
}

TEST_CASE("retry: a drain of its endpoint does not end a call whose attempt has just been cut off",
          "[sim][retry][drain]") {
  stuck_world story;
  auto& call = story.world.call();
  story.world.after(55ms, [&] { story.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
  CHECK(call.took() == 50ms + cut_grace + 1ms + 2ms);
  story.world.run_for(100s);
}

TEST_CASE("retry: a stuck stream that is back while the next attempt waits for its place is freed then",
          "[sim][stream][retry]") {
  world world{
      {.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}, .client = patient()}};
  world.net()["a"].stream_next({.silent = true, .stuck = 500ms});
  world.net()["a"].stream_with({.messages = 10, .takes = 1s});
  talker one(world, call_kind::server_stream, 0);
  one.start();
  world.run_until(5s);
  CHECK_FALSE(one.got.empty());
  CHECK(world.net().live_attempts() == 1);
  world.run_until(20s);
  CHECK(one.got.size() == 10);
}

TEST_CASE("retry: what a stuck attempt ended with is told as long as nothing else was tried", "[sim][retry]") {
  bool const streams = GENERATE(false, true);
  client_params client = patient();
  client.retry.initial_backoff = 100ms;
  stuck_world story(GENERATE(20ms, 5s), client, "a:1");
  talker one(story.world, call_kind::server_stream, 0);
  if (streams) {
    one.start();
  } else {
    story.world.call();
  }
  story.world.after(70ms, [&] { story.a().kill(); });
  story.world.run_for(1s);
  CHECK(story.heard.told.at(1) == "retry after DEADLINE_EXCEEDED");
  CHECK(story.heard.told.at(2) == "retry after DEADLINE_EXCEEDED");  // no endpoint was ready
}

TEST_CASE("retry: the loop may go while attempts are stuck: handlers are destroyed, not called", "[sim][retry][end]") {
  bool const streams = GENERATE(false, true);
  auto token = std::make_shared<int>();
  bool called = false;
  {
    std::optional<net> servers;  // what the loop abandons needs it
    loop on(std::make_unique<sim::port>());
    servers.emplace(on, 1);
    for (char const* const name : {"a:1", "b:1"}) {
      servers->add(name)
          .answer_with({.after = duration::max(), .stuck = 1s})
          .stream_with({.silent = true, .stuck = 1s});
    }
    auto slots =
        std::make_unique<pool>(on, pool_params{.target = "a:1,b:1"}, std::make_unique<sim::channel_factory>(*servers));
    client calls(*slots, *servers, patient());
    std::optional<server_stream> stream;
    if (streams) {
      stream = calls.async_server_stream(world::called(), "please");
      stream->async_read([&, token](error_code, std::optional<std::string>) { called = true; });
    } else {
      calls.async_call(world::called(), "hello", {}, [&, token](call_result) { called = true; });
    }
    // the first is out, in its grace, given up; the second is out; in its grace; the third is out
    on.run_until(on.now() + GENERATE(30ms, 55ms, 61ms, 90ms, 115ms, 140ms));
    CHECK(token.use_count() == 2);
    slots.reset();
  }
  CHECK(token.use_count() == 1);
  CHECK_FALSE(called);
}

TEST_CASE("retry: a server stream whose first attempt is stuck goes on with the second alone", "[sim][stream][retry]") {
  duration const stuck = GENERATE(10ms + 1us, 11ms, 12ms, 5s);
  stuck_world story(stuck);
  story.b().stream_with({.messages = 3, .takes = 20ms});
  talker one(story.world, call_kind::server_stream, 0);
  call_info info;
  one.start({.info = &info});
  story.world.run_for(80ms);
  CHECK(story.world.net().live_attempts() == (stuck == 5s ? 2 : 1));  // what is back is freed
  story.world.run_for(1s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got == std::vector<std::string>{"b:1: 0", "b:1: 1", "b:1: 2"});
  CHECK(info.attempts == 2);
  CHECK(info.endpoint == "b:1");
  CHECK(one.as<server_stream>().peer() == "b:1");
  story.world.run_for(6s);
  CHECK(one.sound());
  CHECK(story.world.pool().snapshot().in_flight == 0);
  CHECK(story.heard.told ==
        std::vector<std::string>{"a:1 DEADLINE_EXCEEDED", "retry after DEADLINE_EXCEEDED", "b:1 OK", "call"});
}

TEST_CASE("retry: a stuck attempt counts against its endpoint when its call goes on, once", "[sim][retry][health]") {
  world world{{.pool = {.target = "a:1,b:1", .accrual = health::accrual_params{.consecutive_failures = 3}},
               .client = patient()}};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 60s});
  world.pool().open();
  make_calls(world, 100ms, 300ms, 10ms);
  world.run_until(1s);
  CHECK(count_ok(world) == world.calls().size());
  std::uint64_t const before = world.net()["a:1"].received();
  make_calls(world, 1s, 2s, 10ms);
  world.run_until(3s);
  CHECK(world.net()["a:1"].received() == before);  // it is ejected
  CHECK(count_ok(world) == world.calls().size());
  world.run_until(100s);
}

TEST_CASE("hedge: one that is stuck beyond its own time has failed: the next is sent", "[sim][hedge]") {
  client_params client = patient();
  client.hedging = retry::hedging_policy{.max_attempts = 3, .delay = 20ms};
  client.idempotent = true;
  stuck_world story(60s, client, "a:1,b:1,c:1");
  SECTION("beside another, whose answer is late") {
    story.b().call_takes(5s);  // never in time: cut off at 20 + 50 ms, and back at once
    story.world.net()["c:1"].call_takes(5s);
    auto& call = story.world.call();
    story.world.run_calls();
    CHECK(call.code() == status_code::deadline_exceeded);
    CHECK(call.took() == 40ms + 50ms);  // a is not waited for
    story.world.run_for(100s);
  }
  SECTION("alone") {
    client.hedging->delay = 5s;
    stuck_world late(60s, client);
    auto& call = late.world.call();
    late.world.run_calls();
    CHECK(call.text() == "b:1: hello");
    CHECK(call.took() < 50ms + cut_grace + 10ms);
    CHECK(call.info.attempts == 2);
    late.world.run_for(100s);
  }
}

TEST_CASE("hedge: one whose endpoint is drained and that is stuck is not waited for", "[sim][hedge][drain]") {
  client_params client{.hedging = retry::hedging_policy{.max_attempts = 2, .delay = 20ms}, .idempotent = true};
  stuck_world story(60s, client);
  story.b().answer_with({.code = status_code::unavailable, .message = "busy", .after = 40ms});
  auto& call = story.world.call("hello", {.timeout = 30s});
  story.world.after(30ms, [&] { story.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  story.world.run_calls();
  CHECK(call.text() == "busy");
  CHECK(call.took() == 60ms);
  story.world.run_for(100s);
}

TEST_CASE("hedge: one whose endpoint is drained when its headers had come does not end the call",
          "[sim][hedge][drain]") {
  client_params client{.hedging = retry::hedging_policy{.max_attempts = 2, .delay = 20ms}, .idempotent = true};
  stuck_world story(0s, client);
  story.a().answer_with({.code = status_code::unavailable, .after = 5s, .committed = true});
  story.b().call_takes(40ms);
  auto& call = story.world.call();
  story.world.after(30ms, [&] { story.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  story.world.run_calls();
  CHECK(call.text() == "b:1: hello");
}

TEST_CASE("hedge: one that lost and is stuck is not blamed when its own time comes", "[sim][stream][hedge]") {
  client_params client = patient();
  client.hedging = retry::hedging_policy{.max_attempts = 2, .delay = 20ms};
  client.idempotent = true;
  stuck_world story(100ms, client);
  story.b().stream_with({.messages = 10, .begins_after = 5ms, .takes = 50ms});
  talker one(story.world, call_kind::server_stream, 0);
  one.start();
  story.world.run_for(5s);
  CHECK(one.got.size() == 10);
  CHECK(story.heard.told == std::vector<std::string>{"a:1 CANCELLED", "b:1 OK", "call"});
}

TEST_CASE("hedge: one whose endpoint is drained is cut off and no more, though its pool goes too",
          "[sim][hedge][drain]") {
  client_params client{.hedging = retry::hedging_policy{.max_attempts = 2, .delay = 20ms}, .idempotent = true};
  stuck_world story(60s, client);
  story.b().answer_with({.code = status_code::unavailable, .after = 15ms});
  auto& call = story.world.call("hello", {.timeout = 30s});
  story.world.after(30ms, [&] { story.world.pool().async_drain_endpoint("a:1", 0s, [](error_code) {}); });
  story.world.after(37ms, [&] { story.world.destroy_pool(); });
  story.world.run_for(100s);
  CHECK(call.info.origin == call_end::revoked);
  CHECK(story.heard.told == std::vector<std::string>{"b:1 UNAVAILABLE", "a:1 CANCELLED", "call"});
}

// ---- before the end

TEST_CASE("deadline: a call whose attempt is stuck in a write ends in time, and its slot has room when that is back",
          "[sim][deadline][cancel]") {
  enum class by { deadline, caller, stop, pool };
  auto const ends = GENERATE(by::deadline, by::caller, by::stop, by::pool);
  world world{full_pool()};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 5s});
  auto& call = world.call("hello", {.timeout = ends == by::deadline ? 1s : 60s});
  world.run_until(1s);
  if (ends == by::caller) call.cancel(terminal);
  if (ends == by::stop) world.stop(10s);
  if (ends == by::pool) world.destroy_pool();
  world.run_until(2s);
  REQUIRE(call.done());
  CHECK(call.took() >= 1s);
  CHECK(call.took() <= 1010ms);
  if (ends == by::deadline) CHECK(call.code() == status_code::deadline_exceeded);
  if (ends == by::caller) CHECK(call.code() == status_code::cancelled);
  if (ends != by::stop) CHECK(world.net()["a"].in_flight() == 1);  // stopping has waited for it
  if (ends == by::deadline || ends == by::caller) CHECK(world.pool().snapshot().in_flight == 1);
  world.run_until(7s);
  CHECK(world.net()["a"].in_flight() == 0);
  if (world.has_pool()) CHECK(world.pool().snapshot().in_flight == 0);
}

TEST_CASE("deadline: a picker learns of an attempt that is stuck once, at the call's end", "[sim][deadline]") {
  struct told_picker {
    std::vector<balance::done_info>* told;
    balance::any_picker inner = balance::make_picker("round_robin", 1);

    void rebuild(std::span<balance::candidate const> ready) { inner.rebuild(ready); }
    std::optional<std::size_t> pick(balance::pick_info const& info) noexcept { return inner.pick(info); }
    void on_done(balance::done_info const& done) noexcept { told->push_back(done); }
  };
  std::vector<balance::done_info> told;
  world world{{.pool = {.target = "a:1", .make_picker = [&] {
                          return balance::any_picker{"told", told_picker{&told}};
                        }}}};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 5s});
  world.call("hello", {.timeout = 1s});
  world.run_until(2s);
  REQUIRE(told.size() == 1);
  CHECK(told[0].code == status_code::deadline_exceeded);
  CHECK(told[0].latency < 1020ms);
  world.run_until(10s);
  CHECK(told.size() == 1);
}

TEST_CASE("deadline: a call whose attempt is stuck ends although its pool gives up on it in the same moment",
          "[sim][deadline][drain]") {
  world world{full_pool()};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 5s});
  auto& call = world.call("hello", {.timeout = 1s});
  world.run_until(10ms);
  world.pool().async_drain(1s + cut_grace - 10ms, [](error_code) {});
  world.run_until(2s);
  REQUIRE(call.done());
  CHECK(call.took() == 1s + cut_grace);
  world.run_until(7s);
}

TEST_CASE("deadline: of an attempt that is stuck the observer and call_info tell at the call's end",
          "[sim][deadline]") {
  listener heard;
  world world{{.pool = {.target = "a:1", .observer = &heard}, .client = {.retry = {.initial_backoff = 10ms}}}};
  world.net()["a:1"].answer_next({.code = status_code::unavailable, .after = 0s});
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 5s});
  auto& call = world.call("hello", {.timeout = 1s});
  world.run_until(2s);
  REQUIRE(call.done());
  CHECK(heard.told ==
        std::vector<std::string>{"a:1 UNAVAILABLE", "retry after UNAVAILABLE", "a:1 DEADLINE_EXCEEDED", "call"});
  CHECK(call.info.attempts == 2);
  CHECK(call.info.endpoint == "a:1");
  CHECK(call.info.slot == 0);
  world.run_until(10s);
  CHECK(heard.told.size() == 4);
}

TEST_CASE("cancel: an attempt that was stuck beyond its own time counts against its server, whoever ends the call",
          "[sim][cancel][health]") {
  world world{{.pool = {.target = "a:1,b:1", .accrual = health::accrual_params{.consecutive_failures = 3}},
               .client = {.retry = {.per_attempt_timeout = 100ms}}}};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 60s});
  world.pool().open();
  std::vector<call_record*> calls;
  for (int n = 0; n < 20; ++n) {
    world.at(100ms + n * 10ms, [&] { calls.push_back(&world.call("hello", {.timeout = 30s})); });
  }
  world.at(1s, [&] {
    for (call_record* const one : calls) {
      if (!one->done()) one->cancel(terminal);
    }
  });
  world.run_until(2s);
  std::uint64_t const before = world.net()["a:1"].received();
  for (int n = 0; n < 10; ++n) world.call();
  world.run_until(3s);
  CHECK(world.net()["a:1"].received() == before);  // it is ejected
  world.run_until(100s);
}
