// SPDX-License-Identifier: Apache-2.0
// A picker of one's own: the first endpoint while it is connected, the others as stand-ins. usage: picker HOST:PORT,HOST:PORT
#include <millrace/call/client.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace asio = boost::asio;
namespace balance = millrace::balance;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// [picker]
class first_endpoint {
 public:
  static constexpr std::string_view name = "first_endpoint";

  // endpoints are numbered as the target lists them
  void rebuild(std::span<balance::candidate const> ready) { ready_.assign(ready.begin(), ready.end()); }

  std::optional<std::size_t> pick(balance::pick_info const& info) noexcept {
    std::optional<std::size_t> best;
    for (std::size_t at = 0; at < ready_.size(); ++at) {
      if (!best || rank(ready_[at], info) < rank(ready_[*best], info)) best = at;
    }
    return best;
  }

  void on_done(balance::done_info const&) noexcept {}

 private:
  // a retry goes elsewhere if there is an elsewhere
  static std::uint64_t rank(balance::candidate const& one, balance::pick_info const& info) noexcept {
    std::uint64_t const avoided = one.endpoint == info.avoid_endpoint ? 1 : 0;
    return avoided << 32 | one.endpoint;
  }

  std::vector<balance::candidate> ready_;
};
// [end]

asio::awaitable<void> three_calls(millrace::client<Echo> echo, millrace::pool& pool) {
  co_await pool.async_ready({.min_ready = 2});
  for (int n = 0; n < 3; ++n) {
    millrace::call_info info;
    co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(EchoRequest{}, {.timeout = 2s, .info = &info});
    fmt::print("slot {}\n", info.slot.value_or(0));
  }
}

int main(int argc, char** argv) {
  millrace::loop loop;
  // [pool]
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051,localhost:50052", .make_picker = [] {
                               return balance::any_picker{first_endpoint{}};
                             }}};
  // [end]
  co_spawn(loop, three_calls(pool, pool), asio::detached);
  loop.run();
}
