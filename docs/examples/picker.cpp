// SPDX-License-Identifier: Apache-2.0
// A picker of one's own: the endpoints of its zone while they are connected, the others as stand-ins. usage: picker FAR,NEAR
#include <millrace/call/client.hpp>
#include <millrace/resolve/manual_endpoints.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace balance = millrace::balance;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// [picker]
class own_zone {
 public:
  static constexpr std::string_view name = "own_zone";

  explicit own_zone(std::string zone) : zone_(std::move(zone)) {}

  // what the source says of an endpoint is looked at here, so that a pick need not
  void rebuild(std::span<balance::candidate const> ready) {
    ready_.clear();
    for (balance::candidate const& one : ready) {
      std::uint64_t const away = one.attributes->locality == zone_ ? 0 : 1;
      ready_.push_back({.endpoint = one.endpoint, .away = away, .in_flight = one.in_flight});
    }
  }

  std::optional<std::size_t> pick(balance::pick_info const& info) noexcept {
    std::optional<std::size_t> best;
    for (std::size_t at = 0; at < ready_.size(); ++at) {
      if (!best || rank(ready_[at], info) < rank(ready_[*best], info)) best = at;
    }
    return best;
  }

  void on_done(balance::done_info const&) noexcept {}

 private:
  struct place {
    std::uint32_t endpoint;
    std::uint64_t away;
    std::uint32_t const* in_flight;
  };

  // a retry goes elsewhere if there is an elsewhere; then the zone counts, then the calls in flight
  static std::uint64_t rank(place const& one, balance::pick_info const& info) noexcept {
    std::uint64_t const avoided = one.endpoint == info.avoid_endpoint ? 1 : 0;
    return avoided << 33 | one.away << 32 | *one.in_flight;
  }

  std::string zone_;
  std::vector<place> ready_;
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
  std::string const both = argc > 1 ? argv[1] : "localhost:50051,localhost:50052";
  std::string const far = both.substr(0, both.find(','));
  std::string const near = both.substr(both.find(',') + 1);
  millrace::loop loop;
  // [pool]
  millrace::manual_endpoints servers;
  servers.update({{.address = far, .locality = "east"}, {.address = near, .locality = "west"}});
  millrace::pool pool{
      loop, {.make_resolver = servers.factory(), .make_picker = [] { return balance::any_picker{own_zone{"west"}}; }}};
  // [end]
  co_spawn(loop, three_calls(pool, pool), asio::detached);
  loop.run();
}
