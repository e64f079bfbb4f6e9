// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/async_grpc.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/loop/tag.hpp>

#include <support/catch.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <deque>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;

static_assert(asio::execution::is_executor_v<millrace::loop::executor_type>);
static_assert(std::is_convertible_v<millrace::loop::executor_type, asio::any_io_executor>);
static_assert(sizeof(millrace::operation) == 2 * sizeof(void*));

namespace {

/// An alarm on the loop's queue, as an embedding program would start one.
struct alarm_waiter {
  explicit alarm_waiter(millrace::loop& on) : loop(on) {}
  void start(std::chrono::system_clock::time_point at) {
    loop.start(op, op_kind::user, "alarm", [&](void* tag) { alarm.Set(&completion_queue(loop), at, tag); });
  }
  void on_back(completion how) { seen.push_back(how); }

  millrace::loop& loop;
  grpc::Alarm alarm;
  std::vector<completion> seen;
  tag<&alarm_waiter::on_back> op{*this};
};

/// Says how long the loop wants to wait, and lets that time pass at once.
class waits final : public port {
 public:
  time_point now() noexcept override { return now_; }
  void wait(time_point until, std::size_t, sink) override {
    asked.push_back(until);
    if (until != poll && until != never) now_ = std::max(now_, until);
  }
  void wake() noexcept override {}

  void take(duration time) noexcept { now_ += time; }

  std::vector<time_point> asked;

 private:
  time_point now_{1s};
};

}  // namespace

TEST_CASE("loop: does not wait while timers are due, more than a turn takes or due since its handlers ran", "[loop]") {
  auto made = std::make_unique<waits>();
  waits& port = *made;
  millrace::loop loop(std::move(made));
  time_point const due = port.now() + 1s;
  std::vector<std::unique_ptr<millrace::steady_timer>> timers;
  int fired = 0;
  auto const arm = [&](time_point at) {
    timers.push_back(std::make_unique<millrace::steady_timer>(loop, at));
    timers.back()->async_wait([&](boost::system::error_code) { ++fired; });
  };

  for (int n = 0; n < 600; ++n) arm(due);
  loop.run();
  CHECK(fired == 600);
  CHECK(std::count(port.asked.begin(), port.asked.end(), due) == 1);
  CHECK(std::count(port.asked.begin(), port.asked.end(), millrace::port::poll) == std::ssize(port.asked) - 1);

  port.asked.clear();
  arm(port.now() + 1ms);
  asio::post(loop, [&] { port.take(2ms); });
  loop.run();
  CHECK(fired == 601);
  CHECK(std::count(port.asked.begin(), port.asked.end(), millrace::port::poll) == std::ssize(port.asked));
}

TEST_CASE("trap T14: timers of fractions of a millisecond come in their order, and none early", "[loop][T14]") {
  constexpr int count = 20;
  millrace::loop loop;
  std::deque<steady_timer> timers;
  std::vector<int> order;
  time_point const start = clock::now();
  for (int n = count; n > 0; --n) {  // the last one first: not in the order of their setting
    timers.emplace_back(loop, start + n * 300us).async_wait([&, n](boost::system::error_code error) {
      CHECK_FALSE(error);
      CHECK(clock::now() - start >= n * 300us);
      order.push_back(n);
    });
  }
  loop.run();
  CHECK(order.size() == count);
  CHECK(std::ranges::is_sorted(order));
}

TEST_CASE("loop: run returns at once when there is nothing to do", "[loop]") {
  millrace::loop loop;
  CHECK(loop.run() == 0);
  CHECK(loop.run() == 0);
}

TEST_CASE("loop: posted functions run in order, dispatched ones at once on the loop's thread", "[loop]") {
  millrace::loop loop;
  std::vector<int> log;
  asio::post(loop, [&] {
    log.push_back(1);
    asio::post(loop, [&] { log.push_back(4); });
    asio::dispatch(loop, [&] { log.push_back(2); });
    asio::defer(loop, [&] { log.push_back(5); });
    log.push_back(3);
  });
  loop.run();
  CHECK(log == std::vector{1, 2, 3, 4, 5});
}

TEST_CASE("complaint 22, trap T15: post from many threads wakes a sleeping loop and loses nothing", "[loop][T15]") {
  millrace::loop loop;
  auto work = asio::make_work_guard(loop);
  constexpr int threads = 4;
  constexpr int each = 5000;
  int ran = 0;
  std::vector<std::thread> posters;
  for (int t = 0; t < threads; ++t) {
    posters.emplace_back([&] {
      for (int i = 0; i < each; ++i) {
        asio::post(loop, [&] {
          if (++ran == threads * each) work.reset();
        });
        if (i % 1000 == 0) std::this_thread::yield();
      }
    });
  }
  loop.run();
  for (auto& poster : posters) poster.join();
  CHECK(ran == threads * each);
}

TEST_CASE("loop: work that ends on another thread ends a sleeping run", "[loop]") {
  millrace::loop loop;
  auto work = asio::make_work_guard(loop);
  std::thread other([&] { work.reset(); });
  loop.run();
  other.join();
  SUCCEED("run returned");
}

TEST_CASE("loop: an exception leaves through run, and the rest runs in the next run", "[loop]") {
  millrace::loop loop;
  int ran = 0;
  asio::post(loop, [] { throw std::runtime_error("from a handler"); });
  asio::post(loop, [&] { ++ran; });
  CHECK_THROWS_WITH(loop.run(), "from a handler");
  CHECK(ran == 0);
  loop.run();
  CHECK(ran == 1);
}

TEST_CASE("loop: coroutines run on it", "[loop]") {
  millrace::loop loop;
  std::vector<int> log;
  auto child = [&](int n) -> asio::awaitable<int> {
    log.push_back(n);
    co_await asio::post(asio::use_awaitable);
    co_return n * 2;
  };
  co_spawn(
      loop, [&]() -> asio::awaitable<void> { log.push_back(co_await child(21)); }, asio::detached);
  loop.run();
  CHECK(log == std::vector{21, 42});
}

TEST_CASE("loop: an operation that gRPC completes comes back through its tag", "[loop]") {
  millrace::loop loop;
  alarm_waiter waiter(loop);
  waiter.start(std::chrono::system_clock::now() + 2ms);
  CHECK(loop.outstanding() == 1);
  loop.run();
  CHECK(waiter.seen == std::vector{completion::ok});
  CHECK(loop.outstanding() == 0);
}

TEST_CASE("async_grpc: completes with what gRPC says of the operation, and with false while the loop stops", "[loop]") {
  millrace::loop loop;
  grpc::Alarm due, cancelled, refused;
  std::vector<std::string> seen;
  auto const wait_for = [&](grpc::Alarm& alarm, std::chrono::system_clock::time_point until, std::string name) {
    async_grpc(
        loop, "alarm", [&alarm, until, &loop](void* tag) { alarm.Set(&completion_queue(loop), until, tag); },
        [&seen, name](bool ok) { seen.push_back(name + (ok ? ": true" : ": false")); });
  };
  auto const now = std::chrono::system_clock::now();
  boost::asio::post(loop, [&] {
    wait_for(cancelled, now + 1h, "cancelled");
    cancelled.Cancel();
    wait_for(due, now + 1ms, "due");
  });
  loop.run();
  CHECK(seen == std::vector<std::string>{"cancelled: false", "due: true"});

  boost::asio::post(loop, [&] {
    loop.begin_stop(1s);
    wait_for(refused, now, "refused");
  });
  loop.run();
  CHECK(seen.back() == "refused: false");
}

TEST_CASE("loop: an operation started after stop is abandoned instead of aborting the process", "[loop][T1]") {
  millrace::loop loop;
  CHECK(loop.stop(0ms).finished);
  alarm_waiter waiter(loop);
  waiter.start(std::chrono::system_clock::now());
  CHECK(loop.stop(100ms).finished);
  CHECK(waiter.seen == std::vector{completion::abandoned});
}

TEST_CASE("loop: stop returns at its deadline and names what is still out", "[loop][T2]") {
  millrace::loop loop;
  alarm_waiter waiter(loop);
  waiter.start(std::chrono::system_clock::now() + 1h);
  stop_report const report = loop.stop(20ms);
  CHECK_FALSE(report.finished);
  REQUIRE(report.outstanding.size() == 1);
  CHECK(report.outstanding[0].kind == op_kind::user);
  CHECK(report.outstanding[0].owner == "alarm");
  CHECK(to_string(report).find("user alarm for") != std::string::npos);
  waiter.alarm.Cancel();
  CHECK(loop.stop(1s).finished);
  CHECK(waiter.seen == std::vector{completion::not_ok});
}

TEST_CASE("loop: stop from another thread ends a run and waits for it", "[loop]") {
  millrace::loop loop;
  auto work = asio::make_work_guard(loop);
  bool aborted = false;
  millrace::steady_timer timer(loop, 1h);
  timer.async_wait([&](boost::system::error_code e) { aborted = e == asio::error::operation_aborted; });
  std::promise<void> running;
  asio::post(loop, [&] { running.set_value(); });
  std::thread runner([&] { loop.run(); });
  running.get_future().wait();
  CHECK(loop.stop(5s).finished);
  runner.join();
  CHECK(aborted);
}

TEST_CASE("loop: stop with no bound on its grace waits for the handler that another thread is in", "[loop]") {
  millrace::loop loop;
  std::promise<void> inside;
  asio::post(loop, [&] {
    inside.set_value();
    while (!loop.stopping()) std::this_thread::yield();
    // stop() has begun; give it every chance to return too early
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  });
  std::thread runner([&] { loop.run(); });
  inside.get_future().wait();
  CHECK(loop.stop(duration::max()).finished);
  runner.join();
}

TEST_CASE("loop: a second run of a loop that runs is refused", "[loop]") {
  millrace::loop loop;
  asio::post(loop, [&] { CHECK_THROWS_AS(loop.run(), std::logic_error); });
  CHECK(loop.run() == 1);
}

TEST_CASE("loop: stop from a handler returns, and run finishes the rest", "[loop]") {
  millrace::loop loop;
  bool aborted = false;
  millrace::steady_timer timer(loop, 1h);
  timer.async_wait([&](boost::system::error_code e) { aborted = e == asio::error::operation_aborted; });
  asio::post(loop, [&] { loop.stop(5s); });
  loop.run();
  CHECK(aborted);
  CHECK(loop.stopping());
}

TEST_CASE("loop: interrupt ends a run, and a later run goes on", "[loop]") {
  millrace::loop loop;
  int ran = 0;
  asio::post(loop, [&] {
    ++ran;
    loop.interrupt();
  });
  asio::post(loop, [&] { ++ran; });
  loop.run();
  CHECK(ran == 1);
  loop.run();
  CHECK(ran == 2);
}

TEST_CASE("loop: a posted function the loop outlives is destroyed, not called", "[loop]") {
  auto const token = std::make_shared<int>(0);
  {
    millrace::loop loop;
    for (int i = 0; i < 1000; ++i) asio::post(loop, [token] { FAIL("called from a destructor"); });
    loop.interrupt();
    CHECK(token.use_count() == 1001);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("loop: use_future works from another thread", "[loop]") {
  millrace::loop loop;
  auto work = asio::make_work_guard(loop);
  std::thread runner([&] { loop.run(); });
  std::future<int> answer = asio::post(loop.get_executor(), asio::use_future([] { return 42; }));
  CHECK(answer.get() == 42);
  work.reset();
  runner.join();
}
