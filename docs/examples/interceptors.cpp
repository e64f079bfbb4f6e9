// SPDX-License-Identifier: Apache-2.0
// Interceptors of one's own, in a chain chosen at compile time and in one chosen at run time. usage: interceptors [HOST:PORT]
#include <millrace/base/metadata.hpp>
#include <millrace/call/client.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/logging.hpp>
#include <millrace/intercept/static_chain.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <string>

using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoReply;
using millrace::echo::EchoRequest;

// [duck]
struct request_id {
  millrace::hook_result on_start(millrace::call_context& call) {
    call.request_metadata().add("x-request-id", std::to_string(++last));
    return millrace::proceed;
  }
  unsigned long last = 0;
};
// [end]

// [virtual]
class method_cap final : public millrace::interceptor {
 public:
  explicit method_cap(unsigned most) : most_(most) {}

  millrace::hook_set hooks() const noexcept override { return {millrace::hook::start, millrace::hook::done}; }

  millrace::hook_result on_start(millrace::call_context& call) override {
    call.shorten_deadline(call.now() + 1s);
    if (++under_way_ <= most_) return millrace::proceed;
    return millrace::finish(millrace::status_code::resource_exhausted, "too many calls at once");
  }

  // once for each on_start that ran, whatever that answered
  millrace::hook_result on_done(millrace::call_context&, millrace::status const&) override {
    --under_way_;
    return millrace::proceed;
  }

 private:
  unsigned const most_;
  unsigned under_way_ = 0;
};
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051"}};

  // [chains]
  millrace::static_chain fixed{request_id{}, method_cap{1}};
  millrace::client<Echo> first(pool, {.interceptors = fixed});

  millrace::chain chosen;
  chosen.emplace<millrace::logging_interceptor>([](std::string_view line) { fmt::print("{}\n", line); });
  chosen.emplace<method_cap>(100u);
  millrace::client<Echo> second(pool, {.interceptors = chosen});
  // [end]

  EchoRequest request;
  for (int n = 0; n < 2; ++n) {
    first.async_call<&Echo::Stub::PrepareAsyncSay>(request, {}, [](millrace::rpc_result<EchoReply> reply) {
      fmt::print("first: {}\n", reply ? "OK" : reply.error().error_message());
    });
  }
  second.async_call<&Echo::Stub::PrepareAsyncSay>(request, {}, [](millrace::rpc_result<EchoReply>) {});
  loop.run();
}
