// SPDX-License-Identifier: Apache-2.0
// An observer of one's own beside the counters, which print as Prometheus text. usage: metrics [HOST:PORT]
#include <millrace/call/client.hpp>
#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/observer_list.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

// [observer]
class slow_attempts final : public millrace::observer {
 public:
  explicit slow_attempts(millrace::duration limit) : limit_(limit) {}

  using observer::on;  // the hooks not overridden here stay visible
  void on(millrace::events::attempt_finished const& event) noexcept override {
    if (event.elapsed > limit_) ++seen_;
  }

  unsigned seen() const noexcept { return seen_; }

 private:
  millrace::duration const limit_;
  unsigned seen_ = 0;
};
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  // [pool]
  slow_attempts slow(1s);
  millrace::counters counters;
  millrace::observer_list observers;
  observers.add(slow);
  observers.add(counters);
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051", .observer = &observers}};
  // [end]

  millrace::client<Echo> echo(pool);
  for (int n = 0; n < 3; ++n) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(EchoRequest{}, {}, [](millrace::rpc_result<EchoReply>) {});
  }
  loop.run();
  // [text]
  fmt::print("{}", counters.prometheus_text());
  // [end]
  fmt::print("# {} attempts took longer than 1 s\n", slow.seen());
}
