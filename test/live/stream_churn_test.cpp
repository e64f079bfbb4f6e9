// SPDX-License-Identifier: Apache-2.0
// Ten thousand streams at once, opened and ended in all the ways there are, in random order and at any moment of their lives.
#include <millrace/base/rng.hpp>
#include <millrace/call/client.hpp>

#include <support/catch.hpp>
#include <support/generic_echo.hpp>
#include <support/wait.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;

namespace {

constexpr std::size_t at_once = 10'000;

grpc::ByteBuffer hello() {
  static grpc::Slice const bytes("hello");
  return {&bytes, 1};
}

/// One stream and what it was told.
struct user {
  call_info info;  // outlives the stream's call
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

class crowd {
 public:
  crowd(std::string const& address, std::uint64_t seed)
      : random_(seed),
        pool_(loop_, {.target = address,
                      .min_slots = 2,
                      .max_slots = 4,
                      .max_calls_per_slot = at_once / 4,
                      .max_waiting = at_once}),
        client_(pool_) {}

  /// Three are opened for one that ends, until so many are open; the loop has a turn now and then.
  void gather() {
    while (open_.size() < at_once) {
      begin();
      if (random_.below(3) == 0) end_any();
      turn();
    }
  }
  void wait_for_an_echo_on_each() {
    run_until("a permit for each", [&] { return pool_.snapshot().in_flight == at_once; });
    run_until("an echo on each", [&] { return std::ranges::all_of(open_, &user::echoed); });
  }
  void scatter() {
    while (!open_.empty()) {
      end_any();
      turn();
    }
  }
  void check() {
    run_until("every operation to end",
              [&] { return std::ranges::all_of(users_, [](user const& one) { return one.begun == one.ended; }); });
    run_until("the permits to be back", [&] { return pool_.snapshot().in_flight == 0; });
    std::size_t const unsent = cancelled([](user const& one) { return one.info.attempts == 0; });
    std::size_t const unanswered = cancelled([](user const& one) { return one.info.attempts > 0 && !one.echoed; });
    std::printf("%zu streams: %zu cancelled before they had a connection, %zu before they had an answer\n",
                users_.size(), unsent, unanswered);
    CHECK(unsent > 0);
    CHECK(unanswered > 0);
    users_.clear();
    CHECK(loop_.stop().finished);
  }

 private:
  static method const& called() {
    static method const any = method::unnumbered("/any/method");
    return any;
  }

  void begin() {
    user& one = users_.emplace_back();
    one.stream.emplace(client_.async_stream(called(), {.timeout = std::chrono::minutes(10), .info = &one.info}));
    one.write();
    one.read();
    open_.push_back(&one);
  }

  void end_any() {
    std::swap(open_[random_.below(static_cast<std::uint32_t>(open_.size()))], open_.back());
    end(*open_.back());
    open_.pop_back();
  }

  void end(user& one) {
    switch (random_.below(6)) {
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
  }

  void turn() {
    if (random_.below(32) == 0) loop_.poll();
  }

  template <class Condition>
  void run_until(char const* what, Condition condition) {
    test::run_until(loop_, what, condition, std::chrono::minutes(2));
  }

  template <class Condition>
  std::size_t cancelled(Condition when) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        users_, [&](user const& one) { return one.info.origin == call_end::cancelled && when(one); }));
  }

  rng random_;
  std::deque<user> users_;
  std::vector<user*> open_;
  millrace::loop loop_;
  millrace::pool pool_;
  generic_client client_;
};

std::uint64_t seed() {
  char const* const text = std::getenv("MILLRACE_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("live: ten thousand streams at once, opened and ended at random, and nothing stays", "[live][stream]") {
  // printed at once: a sanitizer that ends the process lets nobody say more
  std::printf("replay: MILLRACE_SEED=%llu live-stream_churn\n", static_cast<unsigned long long>(seed()));
  std::fflush(stdout);
  test::generic_echo server;
  crowd streams(server.address(), seed());
  streams.gather();
  streams.wait_for_an_echo_on_each();
  streams.scatter();
  streams.check();
}
