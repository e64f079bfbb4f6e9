// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/steady_timer.hpp>

#include <support/catch.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using boost::system::error_code;

TEST_CASE("steady_timer: waits end in the order of their expiries", "[loop][timer]") {
  millrace::loop loop;
  std::vector<int> log;
  millrace::steady_timer late(loop, 4ms);
  millrace::steady_timer early(loop, 1ms);
  late.async_wait([&](error_code e) { log.push_back(e ? -2 : 2); });
  early.async_wait([&](error_code e) { log.push_back(e ? -1 : 1); });
  loop.run();
  CHECK(log == std::vector{1, 2});
  CHECK(clock::now() >= late.expiry());
}

TEST_CASE("steady_timer: cancel, a new expiry and destruction end a wait with operation_aborted", "[loop][timer]") {
  millrace::loop loop;
  int aborted = 0;
  auto count = [&](error_code e) { aborted += e == asio::error::operation_aborted; };
  auto timer = std::make_unique<millrace::steady_timer>(loop, 1h);
  timer->async_wait(count);
  timer->async_wait(count);
  CHECK(timer->cancel() == 2);
  timer->async_wait(count);
  CHECK(timer->expires_after(2h) == 1);
  timer->async_wait(count);
  timer.reset();
  CHECK(aborted == 0);  // never from inside the call that ends them
  loop.run();
  CHECK(aborted == 4);
}

TEST_CASE("steady_timer: a cancellation slot ends its own wait and no other", "[loop][timer]") {
  millrace::loop loop;
  asio::cancellation_signal signal;
  std::vector<int> log;
  millrace::steady_timer timer(loop, 3ms);
  timer.async_wait(asio::bind_cancellation_slot(signal.slot(), [&](error_code e) { log.push_back(e ? 1 : -1); }));
  timer.async_wait([&](error_code e) { log.push_back(e ? -2 : 2); });
  signal.emit(asio::cancellation_type::total);
  loop.run();
  CHECK(log == std::vector{1, 2});
}

TEST_CASE("steady_timer: works with use_awaitable, deferred, as_tuple and parallel operators", "[loop][timer]") {
  using namespace asio::experimental::awaitable_operators;
  millrace::loop loop;
  bool done = false;
  co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        millrace::steady_timer a(loop, 1ms);
        millrace::steady_timer b(loop, 1h);
        co_await a.async_wait(asio::use_awaitable);
        a.expires_after(1ms);
        co_await a.async_wait(asio::deferred);
        a.expires_after(1ms);
        auto [e] = co_await a.async_wait(asio::as_tuple(asio::use_awaitable));
        CHECK_FALSE(e);
        a.expires_after(1ms);
        auto won = co_await (a.async_wait(asio::use_awaitable) || b.async_wait(asio::use_awaitable));
        CHECK(won.index() == 0);
        done = true;
      },
      asio::detached);
  loop.run();
  CHECK(done);
}
