// SPDX-License-Identifier: Apache-2.0
// Heap allocations a call, in steady state, by whose code they are.
#include "heap_watch.hpp"

#include <support/call_once.hpp>
#include <support/echo_server.hpp>

#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/static_chain.hpp>
#include <millrace/metrics/counters.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <grpc/slice.h>

#include <cstdio>
#include <optional>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;

namespace {

constexpr int in_flight = 64;
constexpr int warm_up = 2'000;
constexpr int measured = 5'000;

/// Starts the watch after the warm-up and ends it after the calls that count, from inside the handlers.
class meter {
 public:
  /// True while there are calls to start.
  bool more() const noexcept { return started_ < warm_up + measured + in_flight; }
  bool done() const noexcept { return !more() && answered_ == started_; }
  /// The how manieth call it is.
  int start() noexcept { return ++started_; }

  void answered(rpc_result<EchoReply> const& reply) {
    failed_ += !reply;
    retried_ += reply && reply->previous_attempts() > 0;
    if (++answered_ == warm_up) watch_.emplace();
    if (answered_ == warm_up + measured) counts_ = watch_->stop();
  }

  heap_counts finish(char const* what) {
    REQUIRE(answered_ == started_);
    REQUIRE(failed_ == 0);
    std::printf("%-58s %8.3f %8.3f %8.3f %8.3f\n", what, per_call(counts_.engine), per_call(counts_.slices),
                per_call(counts_.grpc), per_call(counts_.protobuf));
    std::fflush(stdout);
    return counts_;
  }

  heap_counts const& counts() const noexcept { return counts_; }
  int retried() const noexcept { return retried_; }
  std::string const& engine_stacks() const { return watch_->engine_stacks(); }

 private:
  static double per_call(std::uint64_t count) { return static_cast<double>(count) / measured; }

  int started_ = 0;
  int answered_ = 0;
  int failed_ = 0;
  int retried_ = 0;
  std::optional<heap_watch> watch_;
  heap_counts counts_;
};

struct tracing final : interceptor {
  hook_set hooks() const noexcept override { return {hook::start, hook::done}; }
  hook_result on_start(call_context& context) override {
    context.request_metadata().add("x-trace-id", "0123456789abcdef0123456789abcdef");
    return proceed;
  }
  hook_result on_done(call_context&, status const&) override {
    ++done;
    return proceed;
  }
  int done = 0;
};

struct sizing final : interceptor {
  hook_set hooks() const noexcept override { return {hook::send_message, hook::initial_metadata, hook::recv_message}; }
  hook_result on_send_message(call_context&, message const& sent) override {
    bytes += sent.size();
    return proceed;
  }
  hook_result on_recv_message(call_context&, message const& received) override {
    bytes += received.size();
    return proceed;
  }
  std::size_t bytes = 0;
};

constexpr int fails_each = 20;  // with such_retries, the first attempt of one call in so many

client_params such_retries(client_params others = {}) {
  others.retry = {.max_attempts = 5, .initial_backoff = 1ms};
  return others;
}

/// What is measured, and against what.
struct bench {
  explicit bench(client_params params = {}, observer* told = nullptr)
      : pool(loop, {.target = server.address(), .observer = told}),
        retries(params.retry.max_attempts == 5),
        echo(pool, std::move(params)) {
    once_more.set_code(grpc::StatusCode::UNAVAILABLE);
    once_more.set_ok_after_attempts(1);
  }

  echo_server server;
  millrace::loop loop;
  millrace::pool pool;
  bool retries;
  client<Echo> echo;
  echo::EchoRequest request = saying("a text that is longer than what a std::string holds inline");
  echo::EchoRequest once_more = request;
  meter count;

  void callbacks() {
    for (int call = 0; call < in_flight; ++call) call_back();
    loop.run();
  }

  template <class Token>
  void coroutines(Token token) {
    begin(token);
    loop.run();
  }

  /// For a host that owns the thread.
  template <class Token>
  void polled_coroutines(Token token) {
    begin(token);
    while (!count.done()) loop.poll();
  }

 private:
  template <class Token>
  void begin(Token token) {
    for (int call = 0; call < in_flight; ++call) co_spawn(loop, converse(token), asio::detached);
  }

  echo::EchoRequest const& next() { return count.start() % fails_each == 0 && retries ? once_more : request; }

  void call_back() {
    if (!count.more()) return;
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(next(), {.timeout = 60s}, [this](rpc_result<EchoReply> const& reply) {
      count.answered(reply);
      call_back();
    });
  }

  template <class Token>
  asio::awaitable<void> converse(Token token) {
    while (count.more()) {
      count.answered(co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(next(), {.timeout = 60s}, token));
    }
  }
};

void check_none(bench& on, char const* what) {
  auto const counts = on.count.finish(what);
  INFO(what << ": " << counts.engine << " allocations by the engine in " << measured << " calls"
            << on.count.engine_stacks());
  CHECK(counts.engine == 0);
  CHECK(counts.nobody == 0);
  CHECK(on.count.retried() >= (on.retries ? measured / fails_each : 0));
  // the meter would show nothing at all if it were broken
  CHECK(counts.grpc > measured);
  CHECK(counts.protobuf >= measured);
}

double slices(bench const& on) { return static_cast<double>(on.count.counts().slices) / measured; }

void heading() {
  static bool const printed = std::printf("%-58s %8s %8s %8s %8s\n", "allocations a call, 64 in flight, 5000 calls",
                                          "engine", "slices", "gRPC", "protobuf") > 0;
  static_cast<void>(printed);
}

}  // namespace

TEST_CASE("alloc: the meter sees what this program allocates", "[alloc]") {
  heap_watch watch;
  for (int i = 0; i < 10; ++i) delete new std::string(100, 'x');
  auto const counts = watch.stop();
  CHECK(counts.engine >= 10);
  CHECK(counts.grpc == 0);
}

TEST_CASE("alloc: the meter knows what this program asks gRPC for from what gRPC takes for itself", "[alloc]") {
  heap_watch watch;
  for (int i = 0; i < 10; ++i) grpc_slice_unref(grpc_slice_malloc(100));
  auto const counts = watch.stop();
  CHECK(counts.slices == 10);
  CHECK(counts.engine + counts.grpc + counts.nobody == 0);
}

TEST_CASE("alloc: a callback call allocates nothing of the engine's", "[alloc]") {
  heading();
  bench on;
  on.callbacks();
  check_none(on, "callbacks");
}

TEST_CASE("alloc: nor with an observer, interceptors and retries", "[alloc]") {
  heading();
  {
    counters seen;
    bench on({}, &seen);
    on.callbacks();
    check_none(on, "callbacks, counters observe");
  }
  {
    chain both;
    both.emplace<tracing>();
    both.emplace<sizing>();
    bench on({.interceptors = both});
    on.callbacks();
    check_none(on, "callbacks, chain of two");
  }
  {
    static_chain<tracing, sizing> both;
    bench on({.interceptors = both});
    on.callbacks();
    check_none(on, "callbacks, static_chain of two");
  }
  {
    bench on(such_retries());
    on.callbacks();
    check_none(on, "callbacks, one call in 20 retried");
  }
}

TEST_CASE("alloc: requests share slabs of 32 KiB, so that few of them take memory for their bytes", "[alloc]") {
  heading();
  auto const per_call = [](std::size_t bytes) {
    bench on;
    on.request = saying(std::string(bytes, 'x'));
    on.callbacks();
    check_none(on, ("callbacks, " + std::to_string(bytes) + " bytes").c_str());
    return slices(on);
  };
  CHECK(per_call(16) == 0);  // inside the slice itself
  CHECK(per_call(64) <= 1. / 450);
  CHECK(per_call(1024) <= 1. / 30);
  CHECK(per_call(4096) <= 1. / 6);
  CHECK(per_call(10'000) == 1);  // large ones get a block of their own
}

TEST_CASE("alloc: a co_awaited call with the default token allocates nothing of the engine's", "[alloc]") {
  heading();
  bench on;
  on.coroutines(asio::deferred);
  check_none(on, "coroutines, default token");
}

TEST_CASE("alloc: a co_awaited call with use_awaitable allocates nothing of the engine's", "[alloc]") {
  heading();
  bench on;
  on.coroutines(asio::use_awaitable);
  check_none(on, "coroutines, use_awaitable");
}

TEST_CASE("alloc: nor does one on a loop that its host polls", "[alloc]") {
  heading();
  auto const measure = [](char const* what, auto token) {
    bench on;
    on.polled_coroutines(token);
    check_none(on, what);
  };
  measure("coroutines, default token, polled", asio::deferred);
  measure("coroutines, use_awaitable, polled", asio::use_awaitable);
}

TEST_CASE("alloc: nor with everything on at once, for callbacks and coroutines", "[alloc]") {
  heading();
  counters seen;
  chain both;
  both.emplace<tracing>();
  both.emplace<sizing>();
  auto const measure = [&](char const* what, auto run) {
    bench on(such_retries({.interceptors = both}), &seen);
    run(on);
    check_none(on, what);
  };
  measure("callbacks, observer, chain, retries", [](bench& on) { on.callbacks(); });
  measure("coroutines, default token, observer, chain, retries", [](bench& on) { on.coroutines(asio::deferred); });
  measure("coroutines, use_awaitable, observer, chain, retries", [](bench& on) { on.coroutines(asio::use_awaitable); });
}
