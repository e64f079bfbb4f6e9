// SPDX-License-Identifier: Apache-2.0
// with_timeout around each of the engine's operations.
#include "support.hpp"

#include <millrace/call/with_timeout.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;

namespace {

std::string say(error_code const& how) { return !how ? "ok" : how == errc::timed_out ? "timed out" : how.message(); }
std::string say(status const& how) {
  return how.ok() ? "ok" : how.code == status_code::deadline_exceeded ? how.message : "another status";
}
std::string say(call_result const& how) { return how ? "ok" : say(how.error()); }

/// A server that takes what it is sent and says nothing.
struct story {
  story() { server.stream_with({.takes_messages = 0, .silent = true}).answer_with({.after = duration::max()}); }

  sim::world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1}}};
  sim::server& server = world.net()["a:1"];

  /// With five seconds: how it ended, and when.
  template <class Operation>
  std::string five_seconds_of(Operation operation) {
    time_point const start = world.loop().now();
    std::optional<std::string> said;
    with_timeout(world.loop(), 5s, std::move(operation))([&](auto const& how, auto const&...) {
      CHECK_FALSE(said);
      said = say(how);
      took = world.loop().now() - start;
    });
    world.run_for(8s);
    return said.value_or("nothing");
  }
  duration took{};
};

}  // namespace

TEST_CASE("with_timeout: a lease that nobody gives back, and one that is there", "[sim][timeout]") {
  story one;
  lease got;
  one.world.pool().async_acquire({.timeout = 60s}, [&](error_code, lease mine) { got = std::move(mine); });
  one.world.run_for(1s);
  CHECK(one.five_seconds_of(one.world.pool().async_acquire({.timeout = 60s})) == "timed out");
  CHECK(one.took == 5s);
  CHECK(one.world.pool().snapshot().waiting == 0);
  got.release(status_code::ok);
  CHECK(one.five_seconds_of(one.world.pool().async_acquire({.timeout = 60s})) == "ok");
  CHECK(one.took == 0s);
}

TEST_CASE("with_timeout: a pool that does not become ready, and one that does in time", "[sim][timeout]") {
  story one;
  one.server.black_hole();
  CHECK(one.five_seconds_of(one.world.pool().async_ready({.timeout = 60s})) == "timed out");
  CHECK(one.took == 5s);
  story other;
  other.server.dial_takes(2s);
  CHECK(other.five_seconds_of(other.world.pool().async_ready({.timeout = 60s})) == "ok");
  CHECK(other.took == 2s);
}

TEST_CASE("with_timeout: a drain that takes longer goes on, and is waited for no more", "[sim][timeout]") {
  story one;
  auto& call = one.world.call("hello", {.timeout = 60s});
  one.world.run_for(1s);
  CHECK(one.five_seconds_of(one.world.pool().async_drain(20s)) == "timed out");
  CHECK(one.took == 5s);
  CHECK_FALSE(call.done());
  one.world.run_for(20s);
  CHECK(call.done());
}

TEST_CASE("with_timeout: a drain of an endpoint that takes longer", "[sim][timeout]") {
  story one;
  one.world.call("hello", {.timeout = 60s});
  one.world.run_for(1s);
  CHECK(one.five_seconds_of(one.world.pool().async_drain_endpoint("a:1", 20s)) == "timed out");
  CHECK(one.took == 5s);
  one.world.run_for(60s);
}

TEST_CASE("with_timeout: a unary call that nobody answers", "[sim][timeout]") {
  story one;
  CHECK(one.five_seconds_of(one.world.client().async_call(world::called(), "hello", {.timeout = 60s})) == "timed out");
  CHECK(one.took == 5s);
  CHECK(one.world.pool().snapshot().in_flight == 0);
}

TEST_CASE("with_timeout: a read, a write and a finish of a stream whose server is silent", "[sim][timeout]") {
  story one;
  {
    auto stream = one.world.client().async_bidi_stream(world::called(), {.timeout = 600s}, {.write_watermark = 0});
    CHECK(one.five_seconds_of(stream.async_read()) == "timed out");
    CHECK(one.took == 5s);
    CHECK(one.five_seconds_of(stream.async_write("hello")) == "timed out");
    CHECK(one.took == 5s);
    // the stream is none the worse
    CHECK(one.world.pool().snapshot().in_flight == 1);
    CHECK(one.five_seconds_of(stream.async_finish()) == "timed out");
    CHECK(one.took == 5s);
  }
  one.world.run_for(1s);
  CHECK(one.world.pool().snapshot().in_flight == 0);
}

TEST_CASE("with_timeout: an answer to a client stream that does not come", "[sim][timeout]") {
  story one;
  auto stream = one.world.client().async_client_stream(world::called(), {.timeout = 600s});
  CHECK(one.five_seconds_of(stream.async_finish()) == "timed out");
  CHECK(one.took == 5s);
}
