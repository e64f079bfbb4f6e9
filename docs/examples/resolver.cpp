// SPDX-License-Identifier: Apache-2.0
// A pool whose endpoints come from a source of your own. usage: resolver HOST:PORT,HOST:PORT
#include <millrace/millrace.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <echo.grpc.pb.h>

#include <fmt/core.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// what your discovery service would be asked; here it is a variable
std::string primary;

// [resolver]
class registry_resolver final : public millrace::resolver {
 public:
  explicit registry_resolver(millrace::loop& on) : loop_(on) {}

  void start(millrace::resolver_listener& listener) override {
    listener_ = &listener;
    look();
  }

  // a connection failed or was lost: look sooner, but not more often than that
  void refresh() noexcept override {
    if (due_.due() - loop_.now() > 100ms) loop_.arm(due_, loop_.now() + 100ms);
  }

 private:
  void look() {
    listener_->on_endpoints({{.address = primary}});  // the same set again is no change
    loop_.arm(due_, loop_.now() + 5s);
  }

  millrace::loop& loop_;
  millrace::resolver_listener* listener_ = nullptr;
  millrace::timer due_{millrace::bound<void()>::to<&registry_resolver::look>(*this)};
};
// [end]

asio::awaitable<std::string> who_answers(millrace::client<Echo> echo) {
  millrace::call_info info;
  co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(EchoRequest{}, {.timeout = 2s, .info = &info});
  co_return info.endpoint;
}

asio::awaitable<void> move(millrace::loop& loop, millrace::client<Echo> echo, std::string to) {
  std::string const first = co_await who_answers(echo);
  fmt::print("answered by the first: {}\n", first == primary);
  primary = std::move(to);
  millrace::steady_timer tick(loop);
  do {
    tick.expires_after(10ms);
    co_await tick.async_wait(asio::deferred);
  } while (co_await who_answers(echo) != primary);
  fmt::print("answered by the second\n");
}

void by_hand(millrace::loop& loop) {
  // [manual]
  millrace::manual_endpoints servers;
  millrace::pool pool{loop, {.make_resolver = servers.factory()}};
  servers.update({{.address = primary, .weight = 3, .locality = "here"}});  // from any thread, whenever you like
  // [end]
  co_spawn(loop, who_answers(pool), [](std::exception_ptr const&, std::string const& endpoint) {
    fmt::print("answered by hand: {}\n", endpoint == primary);
  });
  loop.run();
}

void by_name(millrace::loop& loop) {
  // [name]
  millrace::resolver_params params{.dns = {.refresh_interval = 10s}};
  millrace::pool pool{loop, {.make_resolver = millrace::make_resolver("dns:///localhost:50051", params)}};
  // [end]
}

int main(int argc, char** argv) {
  std::string const both = argc > 1 ? argv[1] : "localhost:50051,localhost:50052";
  primary = both.substr(0, both.find(','));
  millrace::loop loop;
  // [pool]
  millrace::pool pool{loop,
                      {.make_resolver = [](millrace::loop& on) { return std::make_unique<registry_resolver>(on); }}};
  // [end]
  co_spawn(loop, move(loop, pool, both.substr(both.find(',') + 1)), asio::detached);
  loop.run();
  by_hand(loop);
  by_name(loop);
}
