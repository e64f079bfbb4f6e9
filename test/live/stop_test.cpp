// SPDX-License-Identifier: Apache-2.0
// An end at any moment: with calls, timers, waits and coroutines under way, in five ways, from a seed.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/wait.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/loop/steady_timer.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <cstdlib>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;
using echo::EchoReply;

namespace {

enum class ending { stop, stop_elsewhere, destroy_pool, destroy_client, drain, destroy_all };
constexpr std::size_t endings = 6;

constexpr char const* name(ending how) {
  switch (how) {
    case ending::stop: return "loop::stop";
    case ending::stop_elsewhere: return "loop::stop from another thread";
    case ending::destroy_pool: return "the pool destroyed";
    case ending::destroy_client: return "the client destroyed";
    case ending::drain: return "async_drain";
    case ending::destroy_all: return "interrupted, everything destroyed";
  }
  return "?";
}

/// One seeded round. Each thing that is started has a line in `runs_` and holds `alive_`, so that what is neither run nor
/// freed shows without a leak checker.
class stop_round {
 public:
  stop_round(std::string const& target, std::uint64_t seed, duration patience)
      : random_(seed),
        timeout_(patience),
        how_(static_cast<ending>(seed % endings)),
        pool_(std::make_unique<millrace::pool>(loop(),
                                               pool_params{.target = target,
                                                           .min_slots = below(3),
                                                           .max_slots = 1 + below(3) + 2,
                                                           .max_calls_per_slot = 1 + below(40),
                                                           .slot = {.backoff = {.initial = 1ms, .max = 20ms},
                                                                    .watch_slice = 5ms + below(20) * 1ms,
                                                                    .ready_watch_slice = 5ms + below(20) * 1ms}})),
        client_(std::make_unique<client<Echo>>(*pool_)) {}

  void run() {
    INFO("ending: " << name(how_));
    start_timers();
    start_waits();
    for (int call = 0; call < 64; ++call) start_call(call);
    drive();
    finish();
    check();
  }

 private:
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_.next() % limit); }
  millrace::loop& loop() { return *loop_; }

  std::size_t enter() {
    runs_.push_back(0);
    return runs_.size() - 1;
  }

  auto note(std::size_t line) {
    return [this, line, alive = alive_](auto&&...) { ++runs_[line]; };
  }

  void start_call(int call) {
    auto request = saying(std::to_string(call));
    request.set_delay_ms(static_cast<int>(below(12)));
    if (below(8) == 0) request.set_code(grpc::StatusCode::UNAVAILABLE);
    call_options const options{.timeout = below(6) == 0 ? 1ms * (1 + below(10)) : timeout_,
                               .wait_for_ready = below(2) == 0};
    std::size_t const line = enter();
    if (below(3) == 0) {
      co_spawn(loop(), converse(*client_, request, options, line, alive_), asio::detached);
    } else if (below(4) == 0) {
      auto& signal = signals_.emplace_back();
      client_->async_call<&Echo::Stub::PrepareAsyncSay>(request, options,
                                                        asio::bind_cancellation_slot(signal.slot(), note(line)));
    } else {
      client_->async_call<&Echo::Stub::PrepareAsyncSay>(request, options, note(line));
    }
  }

  asio::awaitable<void> converse(client<Echo> echo, echo::EchoRequest request, call_options options, std::size_t line,
                                 std::shared_ptr<int>) {
    auto const reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request, options);
    ++runs_[line];
  }

  void start_timers() {
    for (int one = 0; one < 12; ++one) {
      auto& timer = timers_.emplace_back(loop());
      timer.expires_after(std::chrono::microseconds(below(20'000)));
      timer.async_wait(note(enter()));
    }
    auto& canceller = timers_.emplace_back(loop());
    canceller.expires_after(std::chrono::microseconds(below(8'000)));
    canceller.async_wait([this, alive = alive_](error_code) {
      constexpr asio::cancellation_type types[] = {asio::cancellation_type::total, asio::cancellation_type::partial,
                                                   asio::cancellation_type::terminal};
      for (auto& signal : signals_) signal.emit(types[below(3)]);
    });
  }

  void start_waits() {
    pool_->async_ready({.min_ready = 1 + below(3), .timeout = 1ms * (1 + below(40))}, note(enter()));
    for (int one = 0; one < 4; ++one)
      pool_->async_acquire({.timeout = 1ms * (1 + below(40)), .wait_for_ready = below(2) == 0}, note(enter()));
  }

  void drive() {
    if (below(2) == 0) {
      for (std::uint32_t turns = below(60); turns > 0; --turns) loop().poll();
    } else {
      loop().run_until(clock::now() + std::chrono::microseconds(below(30'000)));
    }
  }

  void finish() {
    auto const before = clock::now();
    switch (how_) {
      case ending::stop: report_ = loop().stop(20s); break;
      case ending::stop_elsewhere: stop_elsewhere(); break;
      case ending::destroy_pool:
        pool_.reset();
        loop().run();
        report_ = loop().stop(20s);
        break;
      case ending::destroy_client:
        client_.reset();
        loop().run();
        report_ = loop().stop(20s);
        break;
      case ending::drain:
        pool_->async_drain(std::chrono::milliseconds(below(15)), note(enter()));
        loop().run();
        report_ = loop().stop(20s);
        break;
      case ending::destroy_all: loop().interrupt(); break;
    }
    CHECK(clock::now() - before < 15s);
    bool const ran_out = how_ != ending::destroy_all;
    if (ran_out) CHECK(to_string(report_) == "stopped: nothing outstanding");
    at_end_ = runs_;
    client_.reset();
    pool_.reset();
    timers_.clear();
    CHECK(clock::now() - before < 15s);
    loop_.reset();
    CHECK(clock::now() - before < 15s);
  }

  void stop_elsewhere() {
    std::thread runner([&] { loop().run(); });
    std::thread stopper([&] {
      auto const until = clock::now() + std::chrono::microseconds(500);
      while (clock::now() < until) std::this_thread::yield();
      report_ = loop().stop(20s);
    });
    stopper.join();
    runner.join();
  }

  void check() {
    for (std::size_t line = 0; line < runs_.size(); ++line) {
      INFO("handler " << line << " of " << runs_.size());
      if (how_ == ending::destroy_all) {
        CHECK(runs_[line] <= 1);
      } else {
        CHECK(runs_[line] == 1);
      }
    }
    INFO("handlers run while things were destroyed");
    CHECK(runs_ == at_end_);
    INFO("handlers neither run nor freed");
    CHECK(alive_.use_count() == 1);
  }

  rng random_;
  duration timeout_;  // of most calls
  ending how_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::vector<int> runs_;
  std::vector<int> at_end_;
  stop_report report_;
  std::deque<asio::cancellation_signal> signals_;
  std::unique_ptr<millrace::loop> loop_ = std::make_unique<millrace::loop>();
  std::unique_ptr<millrace::pool> pool_;
  std::unique_ptr<client<Echo>> client_;
  std::deque<millrace::steady_timer> timers_;
};

std::uint64_t first_seed() {
  char const* const text = std::getenv("MILLRACE_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::uint64_t rounds() {
  char const* const text = std::getenv("MILLRACE_ROUNDS");
  return text == nullptr ? 72 : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("stop: at a random moment each handler runs once, nothing hangs and nothing is left", "[live][stop]") {
  echo_server server;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + rounds(); ++seed) {
    INFO("replay: MILLRACE_SEED=" << seed << " MILLRACE_ROUNDS=1 live-stop");
    stop_round(server.address(), seed, 20s).run();
  }
}

TEST_CASE("stop: at a random moment while the endpoint is dead", "[live][stop]") {
  std::string const nobody = echo_server().address();
  for (std::uint64_t seed = first_seed(); seed < first_seed() + rounds() / 3; ++seed) {
    INFO("replay: MILLRACE_SEED=" << seed << " MILLRACE_ROUNDS=3 live-stop");
    stop_round(nobody, seed, 100ms).run();
  }
}

TEST_CASE("complaint 23, trap T3: a call that the server never answers does not hold up the end", "[live][stop][T3]") {
  echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> echo(pool);
  auto endless = saying("never");
  endless.set_delay_ms(60'000);
  std::optional<rpc_result<EchoReply>> answer;
  echo.async_call<&Echo::Stub::PrepareAsyncSay>(endless, {.timeout = 60s},
                                                [&](rpc_result<EchoReply> reply) { answer = std::move(reply); });
  run_until(loop, "the call to be at the server", [&] { return server.calls() == 1; });
  auto const before = clock::now();
  auto const report = loop.stop(20s);
  CHECK(clock::now() - before < 5s);
  CHECK(to_string(report) == "stopped: nothing outstanding");
  REQUIRE(answer);
  CHECK(answer->has_error());
}
