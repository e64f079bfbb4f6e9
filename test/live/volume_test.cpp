// SPDX-License-Identifier: Apache-2.0
// Ten thousand calls, 256 at a time: each is answered once, with its own text.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/wait.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;

namespace {

constexpr std::size_t calls = 10'000;
constexpr std::size_t at_once = 256;

/// What came back, call by call.
class ledger_of_answers {
 public:
  void enter(std::size_t call, rpc_result<EchoReply> const& reply) {
    ++answers_[call];
    if (!reply) {
      ++failed_;
      last_failure_ = reply.error().error_message();
    } else if (reply->text() != "call " + std::to_string(call)) {
      ++mixed_up_;
    }
  }

  void check() const {
    INFO("the last failure: " << last_failure_);
    CHECK(failed_ == 0);
    CHECK(mixed_up_ == 0);
    CHECK(std::all_of(answers_.begin(), answers_.end(), [](int count) { return count == 1; }));
  }

 private:
  std::vector<int> answers_ = std::vector<int>(calls);
  int failed_ = 0;
  int mixed_up_ = 0;
  std::string last_failure_;
};

echo::EchoRequest numbered(std::size_t call) { return saying("call " + std::to_string(call)); }

}  // namespace

TEST_CASE("volume: 10 000 calls, 256 at a time, with callbacks", "[live][volume]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  ledger_of_answers answers;
  std::size_t next = 0;
  std::function<void()> start = [&] {
    if (next == calls) return;
    std::size_t const call = next++;
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(numbered(call), {.timeout = 60s},
                                                  [&, call](rpc_result<EchoReply> const& reply) {
                                                    answers.enter(call, reply);
                                                    start();
                                                  });
  };
  for (std::size_t one = 0; one < at_once; ++one) start();
  loop.run();
  answers.check();
  CHECK(server.calls() == static_cast<int>(calls));
  CHECK(loop.armed_timers() <= 1);  // when the pool looks whether it can do with fewer connections
}

TEST_CASE("volume: 10 000 calls, 256 at a time, with coroutines", "[live][volume]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  ledger_of_answers answers;
  std::size_t next = 0;
  auto const caller = [&](bool deferred) -> asio::awaitable<void> {
    while (next < calls) {
      std::size_t const call = next++;
      if (deferred) {
        answers.enter(call, co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(numbered(call), {.timeout = 60s}));
      } else {
        answers.enter(call, co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(numbered(call), {.timeout = 60s},
                                                                                   asio::use_awaitable));
      }
    }
  };
  for (std::size_t one = 0; one < at_once; ++one) co_spawn(loop, caller(one % 2 == 0), asio::detached);
  loop.run();
  answers.check();
  CHECK(server.calls() == static_cast<int>(calls));
}

TEST_CASE("volume: four threads call at once and wait for futures while the loop runs on a fifth", "[live][threads]") {
  constexpr std::size_t each = 500;
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  ledger_of_answers answers;
  loop.work_started();
  std::thread runner([&] { loop.run(); });
  std::vector<std::vector<rpc_result<EchoReply>>> replies(4);
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (std::size_t call = 0; call < each; call += 10) {
        std::vector<std::future<rpc_result<EchoReply>>> futures;
        for (std::size_t one = call; one < call + 10; ++one) {
          futures.push_back(echo.async_call<&Echo::Stub::PrepareAsyncSay>(numbered(caller * each + one),
                                                                          {.timeout = 60s}, asio::use_future));
        }
        for (auto& future : futures) replies[caller].push_back(future.get());
      }
    });
  }
  for (auto& one : callers) one.join();
  loop.work_finished();
  runner.join();
  int wrong = 0;
  for (std::size_t caller = 0; caller < 4; ++caller) {
    REQUIRE(replies[caller].size() == each);
    for (std::size_t call = 0; call < each; ++call) {
      auto const& reply = replies[caller][call];
      wrong += !reply || reply->text() != "call " + std::to_string(caller * each + call);
    }
  }
  CHECK(wrong == 0);
  CHECK(server.calls() == static_cast<int>(4 * each));
}
