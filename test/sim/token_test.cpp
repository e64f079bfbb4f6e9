// SPDX-License-Identifier: Apache-2.0
// The same call with every kind of completion token.
#include "support.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <tuple>

using namespace millrace;
using namespace millrace::sim;
namespace asio = boost::asio;

namespace {

/// An engine without the world around it, so that its calls are made as a user makes them.
struct engine {
  millrace::loop loop{std::make_unique<sim::port>()};
  sim::net net{loop, 1};
  sim::server& server = net.add("a:1");
  millrace::pool pool{loop, {.target = "a:1"}, std::make_unique<sim::channel_factory>(net)};
  sim::client client{pool, net};
  method const& say = world::called();
};

struct counts {
  std::size_t allocations = 0;
  std::ptrdiff_t balance = 0;
};

template <class T>
struct counting_allocator {
  using value_type = T;
  explicit counting_allocator(counts& c) : to(&c) {}
  template <class U>
  counting_allocator(counting_allocator<U> const& other) : to(other.to) {}
  T* allocate(std::size_t n) {
    ++to->allocations;
    to->balance += static_cast<std::ptrdiff_t>(n * sizeof(T));
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    to->balance -= static_cast<std::ptrdiff_t>(n * sizeof(T));
    std::allocator<T>().deallocate(p, n);
  }
  template <class U>
  bool operator==(counting_allocator<U> const& other) const {
    return to == other.to;
  }
  counts* to;
};

}  // namespace

TEST_CASE("trap T41: a callback, which never runs inside the initiating function", "[sim][token][T41]") {
  engine one;
  std::string reply;
  one.client.async_call(one.say, "hello", {}, [&](call_result result) { reply = *result; });
  CHECK(reply.empty());
  one.loop.run();
  CHECK(reply == "a:1: hello");
}

TEST_CASE("token: a callback that can only be moved", "[sim][token]") {
  engine one;
  auto reply = std::make_shared<std::string>();
  one.client.async_call(one.say, "hello", {}, [reply, only = std::make_unique<int>(1)](call_result result) {
    *reply = *result + std::to_string(*only);
  });
  one.loop.run();
  CHECK(*reply == "a:1: hello1");
  CHECK(reply.use_count() == 1);
}

TEST_CASE("token: use_awaitable, with failures as values", "[sim][token]") {
  engine one;
  one.server.answer_next({}).answer_next({.code = status_code::not_found, .message = "no"});
  std::vector<std::string> log;
  asio::co_spawn(
      one.loop,
      [&]() -> asio::awaitable<void> {
        call_result const good = co_await one.client.async_call(one.say, "hello", {}, asio::use_awaitable);
        log.push_back(*good);
        call_result const bad = co_await one.client.async_call(one.say, "hello", {}, asio::use_awaitable);
        log.push_back(bad.error().message);
      },
      asio::detached);
  one.loop.run();
  CHECK(log == std::vector<std::string>{"a:1: hello", "no"});
}

TEST_CASE("token: none at all is deferred, and starts when awaited", "[sim][token]") {
  engine one;
  std::string reply;
  asio::co_spawn(
      one.loop,
      [&]() -> asio::awaitable<void> {
        auto later = one.client.async_call(one.say, "hello");
        CHECK(one.server.received() == 0);
        reply = (co_await std::move(later)).value();
      },
      asio::detached);
  one.loop.run();
  CHECK(reply == "a:1: hello");
}

TEST_CASE("token: deferred operations that are not started cost nothing, and may be started elsewhere",
          "[sim][token]") {
  engine one;
  { auto never_started = one.client.async_call(one.say, "hello", {}, asio::deferred); }
  auto later = one.client.async_call(one.say, "hello", {}, asio::deferred);
  one.loop.run();
  CHECK(one.server.received() == 0);
  std::string reply;
  std::move(later)([&](call_result result) { reply = *result; });
  one.loop.run();
  CHECK(reply == "a:1: hello");
}

TEST_CASE("token: use_future", "[sim][token]") {
  engine one;
  std::future<call_result> reply = one.client.async_call(one.say, "hello", {}, asio::use_future);
  CHECK(reply.wait_for(0s) == std::future_status::timeout);
  one.loop.run();
  CHECK(*reply.get() == "a:1: hello");
}

TEST_CASE("token: as_tuple", "[sim][token]") {
  engine one;
  std::string reply;
  one.client.async_call(one.say, "hello", {},
                        asio::as_tuple([&](std::tuple<call_result> result) { reply = *std::get<0>(result); }));
  asio::co_spawn(
      one.loop,
      [&]() -> asio::awaitable<void> {
        auto [result] = co_await one.client.async_call(one.say, "again", {}, asio::as_tuple(asio::use_awaitable));
        reply += "; " + *result;
      },
      asio::detached);
  one.loop.run();
  CHECK(reply == "a:1: hello; a:1: again");
}

TEST_CASE("token: bind_executor runs the handler on that executor, and keeps it running meanwhile", "[sim][token]") {
  engine one;
  asio::io_context other;
  bool on_other = false;
  one.client.async_call(one.say, "hello", {}, asio::bind_executor(other, [&](call_result result) {
                          on_other = other.get_executor().running_in_this_thread() && result.has_value();
                        }));
  one.loop.run();
  CHECK_FALSE(on_other);
  CHECK(other.run() == 1);
  CHECK(on_other);
}

TEST_CASE("token: bind_allocator is used for the call, and gets back all that it gave before the handler runs",
          "[sim][token]") {
  engine one;
  counts seen;
  std::ptrdiff_t at_handler = -1;
  one.client.async_call(one.say, "hello", {}, asio::bind_allocator(counting_allocator<void>(seen), [&](call_result) {
                          at_handler = seen.balance;
                        }));
  CHECK(seen.allocations > 0);
  CHECK(seen.balance > 0);
  one.loop.run();
  CHECK(at_handler == 0);
  CHECK(seen.balance == 0);
}

TEST_CASE("token: a call with an allocator waits for an attempt that is stuck, as its memory is to be back before",
          "[sim][token]") {
  engine one;
  one.server.answer_with({.after = duration::max(), .stuck = 5s});
  counts seen;
  std::ptrdiff_t at_handler = -1;
  time_point const start = one.loop.now();
  duration took{};
  one.client.async_call(one.say, "hello", {.timeout = 1s},
                        asio::bind_allocator(counting_allocator<void>(seen), [&](call_result) {
                          at_handler = seen.balance;
                          took = one.loop.now() - start;
                        }));
  one.loop.run();
  CHECK(at_handler == 0);
  CHECK(took >= 6s);
}

TEST_CASE(
    "token: a call with an allocator is made again while an attempt is stuck, and has its memory back before it ends",
    "[sim][token][retry]") {
  engine one;
  one.server.answer_next({.after = duration::max(), .stuck = 5s});
  counts seen;
  std::ptrdiff_t at_handler = -1;
  retry::retry_policy const impatient{.initial_backoff = 1ms, .per_attempt_timeout = 50ms};
  call_info info;
  bool ok = false;
  one.client.async_call(one.say, "hello", {.retry = &impatient, .info = &info},
                        asio::bind_allocator(counting_allocator<void>(seen), [&](call_result result) {
                          at_handler = seen.balance;
                          ok = result.has_value();
                        }));
  time_point const start = one.loop.now();
  one.loop.run_until(start + 1s);
  CHECK(info.attempts == 2);  // the outcome is known
  CHECK(at_handler == -1);
  one.loop.run();
  CHECK(at_handler == 0);
  CHECK(ok);
  CHECK(one.loop.now() - start >= 5s);
}

TEST_CASE("token: a call with an allocator waits for an interceptor that holds it", "[sim][token]") {
  engine one;
  auto const holds = std::make_shared<holder>(hook::start);
  chain hooks;
  hooks.add(holds);
  sim::client client{one.pool, one.net, {.interceptors = hooks}};
  counts seen;
  std::ptrdiff_t at_handler = -1;
  call_info info;
  client.async_call(
      one.say, "hello", {.timeout = 1s, .info = &info},
      asio::bind_allocator(counting_allocator<void>(seen), [&](call_result) { at_handler = seen.balance; }));
  one.loop.run_until(one.loop.now() + 2s);
  CHECK(info.origin == call_end::deadline);  // the outcome is known
  CHECK(at_handler == -1);
  holds->held.at(0).proceed();
  one.loop.run_until(one.loop.now() + 1s);
  CHECK(at_handler == 0);
}

TEST_CASE("token: an allocator gets its memory back when the loop ends before an attempt that is stuck does",
          "[sim][token]") {
  counts seen;
  bool called = false;
  {
    std::optional<sim::net> servers;  // what the loop abandons needs it
    millrace::loop on(std::make_unique<sim::port>());
    servers.emplace(on, 1).add("a:1").answer_with({.after = duration::max(), .stuck = 3s});
    millrace::pool slots(on, {.target = "a:1"}, std::make_unique<sim::channel_factory>(*servers));
    sim::client calls(slots, *servers);
    calls.async_call(world::called(), "hello", {.timeout = 1s},
                     asio::bind_allocator(counting_allocator<void>(seen), [&](call_result) { called = true; }));
    on.run_until(on.now() + 2s);
    CHECK(seen.balance > 0);
  }
  CHECK(seen.balance == 0);
  CHECK_FALSE(called);
}

TEST_CASE("token: the name of a call's method lasts as long as what is on the wire", "[sim][token]") {
  engine one;
  one.server.answer_with({.after = duration::max(), .stuck = 60s});
  bool done = false;
  {
    auto const called = method::unnumbered("/millrace.test.Passing/Strange");
    one.client.async_call(called, "hello", {.timeout = 1s}, [&](call_result) { done = true; });
    one.loop.run_until(one.loop.now() + 2s);
  }
  CHECK(done);
  CHECK(to_string(one.loop.stop(0s)).find("/millrace.test.Passing/Strange") != std::string::npos);
  one.loop.stop(90s);
}

TEST_CASE("token: bind_allocator gets its memory back when the call is abandoned", "[sim][token]") {
  counts seen;
  {
    engine one;
    one.server.answer_with({.after = duration::max()});
    one.client.async_call(one.say, "hello", {},
                          asio::bind_allocator(counting_allocator<void>(seen), [](call_result) {}));
    one.loop.run_until(one.loop.now() + 1s);
    one.loop.stop();
  }
  CHECK(seen.allocations > 0);
  CHECK(seen.balance == 0);
}

TEST_CASE("token: bind_cancellation_slot", "[sim][token]") {
  engine one;
  one.server.answer_with({.after = duration::max()});
  asio::cancellation_signal signal;
  status_code code{};
  one.client.async_call(one.say, "hello", {}, asio::bind_cancellation_slot(signal.slot(), [&](call_result result) {
                          code = result.error().code;
                        }));
  one.loop.run_until(one.loop.now() + 1s);
  CHECK(signal.slot().has_handler());
  signal.emit(cancellation_type::terminal);
  one.loop.run();
  CHECK(code == status_code::cancelled);
  CHECK_FALSE(signal.slot().has_handler());
}

TEST_CASE("token: a coroutine that is cancelled cancels the call it awaits", "[sim][token]") {
  engine one;
  one.server.answer_with({.after = duration::max()});
  asio::cancellation_signal signal;
  status_code code{};
  asio::co_spawn(
      one.loop,
      [&]() -> asio::awaitable<void> {
        call_result const result = co_await one.client.async_call(one.say, "hello", {.timeout = 60s});
        code = result.error().code;
      },
      asio::bind_cancellation_slot(signal.slot(), asio::detached));
  time_point const start = one.loop.now();
  one.loop.run_until(start + 1s);
  signal.emit(cancellation_type::terminal);
  one.loop.run();
  CHECK(code == status_code::cancelled);
  CHECK(one.loop.now() == start + 1s);
}

TEST_CASE("token: any_completion_handler", "[sim][token]") {
  engine one;
  std::string reply;
  asio::any_completion_handler<void(call_result)> handler([&](call_result result) { reply = *result; });
  one.client.async_call(one.say, "hello", {}, std::move(handler));
  one.loop.run();
  CHECK(reply == "a:1: hello");
}

TEST_CASE("token: pools complete them all too", "[sim][token]") {
  engine one;
  std::future<void> ready = one.pool.async_ready({}, asio::use_future);
  lease got;
  asio::co_spawn(
      one.loop,
      [&]() -> asio::awaitable<void> {
        auto [error, mine] = co_await one.pool.async_acquire({.timeout = 1s}, asio::as_tuple(asio::use_awaitable));
        CHECK_FALSE(error);
        got = std::move(mine);
        got.release(status_code::ok);
        error_code drained;
        co_await one.pool.async_drain(1s, asio::redirect_error(asio::use_awaitable, drained));
        CHECK_FALSE(drained);
      },
      asio::detached);
  one.loop.run();
  ready.get();
  std::future<void> closed = one.pool.async_ready({}, asio::use_future);
  one.loop.run();
  CHECK_THROWS_AS(closed.get(), boost::system::system_error);
}

TEST_CASE("token: a handler that throws leaves through run, and the loop goes on", "[sim][token]") {
  engine one;
  std::string reply;
  one.client.async_call(one.say, "hello", {}, [](call_result) { throw std::runtime_error("mine"); });
  one.client.async_call(one.say, "hello", {}, [&](call_result result) { reply = *result; });
  CHECK_THROWS_WITH(one.loop.run(), "mine");
  one.loop.run();
  CHECK(reply == "a:1: hello");
}

TEST_CASE("token: value() throws what the call failed with", "[sim][token]") {
  engine one;
  one.server.answer_next({.code = status_code::not_found, .message = "no such thing"});
  std::future<call_result> reply = one.client.async_call(one.say, "hello", {}, asio::use_future);
  one.loop.run();
  CHECK_THROWS_WITH(reply.get().value(), "NOT_FOUND: no such thing");
}
