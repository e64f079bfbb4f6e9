// SPDX-License-Identifier: Apache-2.0
// A group of loops, each with a pool and a client of its own, against one server.
#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/wait.hpp>

#include <millrace/loop/loop_group.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <deque>
#include <future>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using echo::Echo;

namespace {

constexpr int calls_a_loop = 500;

/// What a loop of the group has for itself.
struct backend_client {
  backend_client(millrace::loop& on, std::string const& target) : pool(on, {.target = target}), echo(pool) {}

  millrace::pool pool;
  client<Echo> echo;
};

// how many of so many calls were answered with their own text, all on the loop's thread
asio::awaitable<int> converse(millrace::loop& on, client<Echo> echo, int number) {
  int good = 0;
  for (int call = 0; call < calls_a_loop; ++call) {
    auto const text = std::to_string(number) + "/" + std::to_string(call);
    auto const reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying(text), {.timeout = 60s});
    good += reply && reply->text() == text && on.running_in_this_thread();
  }
  co_return good;
}

}  // namespace

TEST_CASE("group: a pool and a client on each loop, all calling at once", "[live][group]") {
  echo_server server;
  loop_group group{{.size = 3}};
  std::deque<backend_client> backends;
  for (millrace::loop& one : group) backends.emplace_back(one, server.address());
  group.start();
  std::vector<std::future<int>> good;
  for (std::size_t i = 0; i < group.size(); ++i) {
    good.push_back(co_spawn(group[i], converse(group[i], backends[i].echo, static_cast<int>(i)), asio::use_future));
  }
  for (auto& one : good) CHECK(one.get() == calls_a_loop);
  CHECK(server.calls() == 3 * calls_a_loop);
  CHECK(server.connections() == 3);
  CHECK(to_string(group.stop()) == "stopped: nothing outstanding");
}

TEST_CASE("group: stop ends the calls in flight of every loop", "[live][group]") {
  echo_server server;
  loop_group group{{.size = 2}};
  std::deque<backend_client> backends;
  for (millrace::loop& one : group) backends.emplace_back(one, server.address());
  group.start();
  auto endless = saying("never");
  endless.set_delay_ms(60'000);
  std::vector<std::future<rpc_result<echo::EchoReply>>> answers;
  for (backend_client& one : backends) {
    answers.push_back(one.echo.async_call<&Echo::Stub::PrepareAsyncSay>(endless, {.timeout = 60s}, asio::use_future));
  }
  wait_until("both calls to be at the server", [&] { return server.calls() == 2; });
  CHECK(to_string(group.stop(20s)) == "stopped: nothing outstanding");
  for (auto& one : answers) CHECK(one.get().has_error());
}
