// SPDX-License-Identifier: Apache-2.0
// 64 MiB each way, and readers and writers that stall: the memory stays bounded. Prints how much was used at most.
#include <millrace/call/client.hpp>
#include <millrace/loop/steady_timer.hpp>

#include <support/catch.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using talk::Line;
using talk::Talk;

// AddressSanitizer keeps what was freed, 256 MiB of it unless it is told otherwise: then this would measure what it keeps
extern "C" char const* __asan_default_options();
extern "C" char const* __asan_default_options() { return "quarantine_size_mb=1"; }

namespace {

constexpr int messages = 1024;
constexpr std::size_t message_bytes = std::size_t{64} * 1024;
constexpr std::size_t most_mib = 16;

std::size_t status_kib(char const* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stoul(line.substr(std::string(field).size()));
  }
  FAIL("/proc/self/status has no " << field);
  return 0;
}

/// The memory that this process needed at most since this was made, beyond what it had then. The server is in it too.
class peak {
 public:
  peak() {
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = status_kib("VmRSS:");
  }
  void check(char const* what) const {
    std::size_t const highest = status_kib("VmHWM:");
    std::size_t const mib = highest > before_ ? (highest - before_) / 1024 : 0;
    std::printf("%s: at most %zu MiB, %zu MiB above the start\n", what, highest / 1024, mib);
    CHECK(mib < most_mib);
  }

 private:
  std::size_t before_;
};

// gRPC's windows grow with what it measures of the connection: then this would measure what else the machine does
std::shared_ptr<grpc::ChannelArguments const> steady_windows() {
  auto made = std::make_shared<grpc::ChannelArguments>();
  made->SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return made;
}

struct fixture {
  fixture() { run(warm_up(talk)); }
  ~fixture() { server.let_go(); }

  test::talk_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .channel_args = steady_windows()}};
  client<Talk> talk{pool};

  void run(asio::awaitable<void> what) {
    bool done = false;
    co_spawn(loop, std::move(what), [&](std::exception_ptr) { done = true; });
    test::run_until(
        loop, "the coroutine", [&] { return done; }, 2min);
  }

 private:
  static asio::awaitable<void> warm_up(client<Talk>& with) {
    auto chat = with.async_call<&Talk::Stub::PrepareAsyncChat>();
    for (int n = 0; n < 16; ++n) {
      co_await chat.async_write(part());
      co_await chat.async_read();
    }
    co_await chat.async_finish();
  }

 public:
  static Line part(int times = 0) {
    Line one;
    one.set_text(std::string(message_bytes, 'x'));
    one.set_times(times);
    return one;
  }
};

}  // namespace

TEST_CASE("live: 64 MiB come down a server stream", "[live][stream]") {
  fixture with;
  peak const memory;
  int got = 0;
  with.run([](client<Talk>& talk, int& count) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(fixture::part(messages));
    while (auto one = co_await lines.async_read(asio::use_awaitable)) count += one->text().size() == message_bytes;
    auto const how = co_await lines.async_finish();
    CHECK(how.ok());
  }(with.talk, got));
  CHECK(got == messages);
  memory.check("64 MiB down");
}

TEST_CASE("live: 64 MiB go up a client stream", "[live][stream]") {
  fixture with;
  peak const memory;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>();
    for (int n = 0; n < messages; ++n) co_await lines.async_write(fixture::part(-1));
    auto const how = co_await lines.async_finish();
    REQUIRE(how.has_value());
    CHECK(how->times() == messages);
  }(with.talk));
  memory.check("64 MiB up");
}

TEST_CASE("live: 64 MiB go there and back", "[live][stream]") {
  fixture with;
  peak const memory;
  int got = 0;
  bool written = false;
  auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  co_spawn(
      with.loop,
      [](auto& stream, bool& done) -> asio::awaitable<void> {
        for (int n = 0; n < messages; ++n) co_await stream.async_write(fixture::part());
        CHECK_FALSE(stream.writes_done());
        done = true;
      }(chat, written),
      asio::detached);
  with.run([](auto& stream, int& count) -> asio::awaitable<void> {
    while (auto one = co_await stream.async_read(asio::use_awaitable)) count += one->text().size() == message_bytes;
  }(chat, got));
  CHECK(written);
  CHECK(got == messages);
  memory.check("64 MiB there and back");
}

TEST_CASE("live: a client that reads nothing holds the server up, and the memory stays bounded", "[live][stream]") {
  fixture with;
  peak const memory;
  int got = 0;
  with.run([](client<Talk>& talk, millrace::loop& on, int& count) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(fixture::part(messages));
    co_await lines.async_read();
    steady_timer pause(on, 500ms);
    co_await pause.async_wait(asio::use_awaitable);
    for (count = 1; co_await lines.async_read(asio::use_awaitable); ++count) {
    }
    auto const how = co_await lines.async_finish();
    CHECK(how.ok());
  }(with.talk, with.loop, got));
  CHECK(got == messages);
  memory.check("a stalled reader");
}

TEST_CASE("live: a server that reads nothing holds the writer up, and the memory stays bounded", "[live][stream]") {
  fixture with;
  peak const memory;
  int accepted = 0;
  bool let_go = false;
  with.run([](fixture& in, int& count, bool& resumed) -> asio::awaitable<void> {
    auto chat = in.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    Line first;
    first.set_hold(true);
    first.set_times(-1);
    co_await chat.async_write(first);
    steady_timer pause(in.loop, 500ms);
    pause.async_wait([&](boost::system::error_code) {
      std::printf("%d messages were accepted while the server read none\n", count);
      CHECK(count < messages / 4);
      in.server.let_go();
      resumed = true;
    });
    for (; count < messages; ++count) co_await chat.async_write(fixture::part(-1));
    auto const how = co_await chat.async_finish();
    CHECK(how.ok());
  }(with, accepted, let_go));
  CHECK(let_go);
  memory.check("a stalled writer");
}
