// SPDX-License-Identifier: Apache-2.0
// Ten thousand streams at once, which end in all the ways there are, in random order.
#include <millrace/base/rng.hpp>
#include <millrace/call/client.hpp>

#include <support/catch.hpp>
#include <support/generic_echo.hpp>
#include <support/wait.hpp>

#include <algorithm>
#include <deque>
#include <optional>

using namespace millrace;

namespace {

constexpr std::size_t streams = 10'000;

grpc::ByteBuffer hello() {
  static grpc::Slice const bytes("hello");
  return {&bytes, 1};
}

/// One stream and what it was told.
struct user {
  std::optional<bidi_stream<grpc::ByteBuffer, grpc::ByteBuffer>> stream;
  int begun = 0;
  int ended = 0;
  bool echoed = false;

  void write() {
    ++begun;
    stream->async_write(hello(), [this](error_code) { ++ended; });
  }
  void read() {
    ++begun;
    stream->async_read([this](error_code, std::optional<grpc::ByteBuffer> one) {
      ++ended;
      echoed = echoed || one.has_value();
    });
  }
  void finish() {
    ++begun;
    stream->async_finish([this](grpc::Status) { ++ended; });
  }
};

}  // namespace

TEST_CASE("live: ten thousand streams at once are opened and end at random, and nothing stays", "[live][stream]") {
  test::generic_echo server;
  std::deque<user> users(streams);
  millrace::loop loop;
  millrace::pool pool{
      loop,
      {.target = server.address(), .min_slots = 2, .max_slots = 4, .max_calls_per_slot = 5'000, .max_waiting = 20'000}};
  generic_client raw(pool);
  static method const called = method::unnumbered("/any/method");
  rng random(1);
  for (user& one : users) {
    one.stream.emplace(raw.async_stream(called));
    one.write();
    one.read();
  }
  auto const echoed = [&] {
    return std::all_of(users.begin(), users.end(), [](user const& one) { return one.echoed; });
  };
  test::run_until(loop, "an echo on each of them", echoed, std::chrono::minutes(2));
  CHECK(pool.snapshot().in_flight == streams);
  for (user& one : users) {
    switch (random.below(6)) {
      case 0: one.stream->cancel(); break;
      case 1: one.stream.reset(); break;
      case 2: one.finish(); break;
      case 3:
        one.write();
        one.read();
        one.stream.reset();
        break;
      case 4:
        one.read();
        one.stream->cancel();
        one.finish();
        break;
      case 5:
        one.write();
        one.finish();
        break;
    }
    if (random.below(64) == 0) loop.poll();
  }
  auto const all = [&] {
    return std::all_of(users.begin(), users.end(), [](user const& one) { return one.begun == one.ended; });
  };
  test::run_until(loop, "every operation to end", all, std::chrono::minutes(2));
  test::run_until(loop, "the permits to be back", [&] { return pool.snapshot().in_flight == 0; });
  users.clear();
  CHECK(loop.stop().finished);
}
