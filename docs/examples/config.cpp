// SPDX-License-Identifier: Apache-2.0
// Parameters from JSON and from a gRPC service config, and what became of them. usage: config [HOST:PORT]
#include <millrace/call/client.hpp>
#include <millrace/config/explain.hpp>
#include <millrace/config/json.hpp>
#include <millrace/config/service_config.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <stdexcept>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using millrace::echo::Echo;
using millrace::echo::EchoRequest;

// [texts]
constexpr char pool_json[] = R"({
  "min_slots": 2,
  "max_slots": 4,
  "balance": "least_request",
  "slot": {"dial_timeout": "3s", "backoff": {"initial": "250ms", "max": "5s"}}
})";

constexpr char service_json[] = R"({
  "loadBalancingConfig": [{"some_newer_policy": {}}, {"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "millrace.echo.Echo"}],
    "timeout": "2s",
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})";
// [end]

void refused() {
  // [refused]
  try {
    static_cast<void>(millrace::pool_params::from_json(R"({"slot": {"backof": {"initial": "1s"}}})"));
  } catch (std::invalid_argument const& error) {
    fmt::print("{}\n", error.what());
  }
  // [end]
}

int main(int argc, char** argv) {
  // [apply]
  auto pool_params = millrace::pool_params::from_json(pool_json);
  pool_params.target = argc > 1 ? argv[1] : "localhost:50051";
  millrace::client_params client_params;
  auto const service = millrace::service_config::from_json(service_json);
  service.apply_to(pool_params);
  service.apply_to(client_params);

  fmt::print("{}", to_string(millrace::explain_config(pool_params, client_params,
                                                      {.pool_json = pool_json, .service = &service})));
  // [end]
  refused();

  millrace::loop loop;
  millrace::pool pool{loop, pool_params};
  millrace::client<Echo> client{pool, client_params};
  co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        EchoRequest request;
        request.set_text("hello");
        auto reply = co_await client.async_call<&Echo::Stub::PrepareAsyncSay>(request);
        fmt::print("{}\n", reply ? reply->text() : reply.error().error_message());
      },
      asio::detached);
  loop.run();
}
