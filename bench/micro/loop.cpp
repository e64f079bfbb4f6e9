// SPDX-License-Identifier: Apache-2.0
// Work given to a loop, on its own thread and from another one.
#include "record.hpp"

#include <millrace/loop/loop.hpp>

#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

// a handler that posts the next one; the look at gRPC's queue that each 256 of them have in between is part of the price
void post_on_loop(benchmark::State& state) {
  struct handler {
    loop* on;
    benchmark::State* state;
    void operator()() const {
      if (state->KeepRunning()) boost::asio::post(*on, *this);
    }
  };
  loop on;
  boost::asio::post(on, handler{&on, &state});
  micro::allocations_per_iteration const counted(state);
  on.run();
}
BENCHMARK(post_on_loop);

// the thread of a loop that has nothing to do
class sleeper {
 public:
  sleeper() {
    loop_.work_started();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~sleeper() {
    loop_.work_finished();
    loop_.interrupt();
    thread_.join();
  }
  loop& operator*() noexcept { return loop_; }

 private:
  loop loop_;
  std::thread thread_;
};

// a post from this thread, while the loop is never idle: its handler posts the next one. So far ahead it may be
void post_to_busy_loop(benchmark::State& state) {
  constexpr std::uint64_t ahead = 1000;
  sleeper on;
  std::atomic<bool> busy = true;
  struct spinner {
    loop* on;
    std::atomic<bool>* busy;
    void operator()() const {
      if (busy->load(std::memory_order_relaxed)) boost::asio::post(*on, *this);
    }
  };
  boost::asio::post(*on, spinner{&*on, &busy});
  std::atomic<std::uint64_t> ran = 0;
  std::uint64_t posted = 0;
  {
    micro::allocations_per_iteration const counted(state);
    for (auto _ : state) {
      boost::asio::post(*on, [&ran] { ran.fetch_add(1, std::memory_order_release); });
      ++posted;
      while (posted - ran.load(std::memory_order_acquire) > ahead) std::this_thread::yield();
    }
  }
  while (ran.load(std::memory_order_acquire) < posted) std::this_thread::yield();
  busy = false;
}
BENCHMARK(post_to_busy_loop)->UseRealTime();

// from the post on this thread to the handler's first instruction on the loop's
void wake_sleeping_loop(benchmark::State& state) {
  sleeper on;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    std::this_thread::sleep_for(100us);  // so that it is asleep
    std::atomic<std::int64_t> ran = 0;
    auto const posted = clock::now();
    boost::asio::post(*on, [&ran] { ran.store(clock::now().time_since_epoch().count(), std::memory_order_release); });
    std::int64_t at = 0;
    while ((at = ran.load(std::memory_order_acquire)) == 0) {
    }
    state.SetIterationTime(std::chrono::duration<double>(duration(at) - posted.time_since_epoch()).count());
  }
}
BENCHMARK(wake_sleeping_loop)->UseManualTime()->Iterations(2000)->Unit(benchmark::kMicrosecond);

}  // namespace
