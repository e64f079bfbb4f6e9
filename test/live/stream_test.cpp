// SPDX-License-Identifier: Apache-2.0
// Streams against real servers.
#include <millrace/call/client.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/metrics/observer.hpp>

#include <support/catch.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using talk::Line;
using talk::Talk;

namespace {

constexpr auto tuple = asio::as_tuple(asio::use_awaitable);

Line line(std::string text, int times = 0) {
  Line one;
  one.set_text(std::move(text));
  one.set_times(times);
  return one;
}

/// A server, and a client of it on a loop.
struct fixture {
  explicit fixture(client_params params = {}, pool_params slots = {})
      : pool(loop, at(std::move(slots))), talk(pool, std::move(params)) {}

  test::talk_server server;
  millrace::loop loop;
  millrace::pool pool;
  client<Talk> talk;

  void run(asio::awaitable<void> what) {
    bool done = false;
    std::exception_ptr failure;
    co_spawn(loop, std::move(what), [&](std::exception_ptr thrown) {
      failure = thrown;
      done = true;
    });
    test::run_until(loop, "the coroutine", [&] { return done; });
    if (failure) std::rethrow_exception(failure);
  }

 private:
  pool_params at(pool_params slots) const {
    slots.target = server.address();
    return slots;
  }
};

}  // namespace

TEST_CASE("live: a server stream is read to its end", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("ho", 3));
    std::string text;
    while (auto one = co_await lines.async_read(asio::use_awaitable)) text += one->text();
    CHECK(text == "hohoho");
    auto const end = co_await lines.async_finish(asio::use_awaitable);
    INFO(end.error_message());
    CHECK(end.ok());
  }(with.talk));
}

TEST_CASE("live: a client stream is written and answered once", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>(call_options{.timeout = 5s});
    for (char const* const part : {"a", "b", "c"}) co_await lines.async_write(line(part));
    CHECK_FALSE(lines.writes_done());
    auto const all = co_await lines.async_finish();
    CHECK(all.value().text() == "abc");
  }(with.talk));
}

TEST_CASE("live: a bidi stream talks", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    for (int n = 0; n < 100; ++n) {
      co_await chat.async_write(line(std::to_string(n)), asio::use_awaitable);
      auto const back = co_await chat.async_read(asio::use_awaitable);
      REQUIRE(back);
      CHECK(back->text() == std::to_string(n));
    }
    auto const end = co_await chat.async_finish(asio::use_awaitable);
    INFO(end.error_message());
    CHECK(end.ok());
  }(with.talk));
}
