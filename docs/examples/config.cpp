// SPDX-License-Identifier: Apache-2.0
// Parameters from JSON and from a gRPC service config, and what became of them. usage: config [HOST:PORT]
#include <millrace/call/client.hpp>
#include <millrace/call/method_config.hpp>
#include <millrace/config/explain.hpp>
#include <millrace/config/json.hpp>
#include <millrace/config/service_config.hpp>

#include <echo.grpc.pb.h>
#include <fmt/core.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <memory>
#include <stdexcept>
#include <utility>

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

asio::awaitable<void> say_hello(millrace::client<Echo> echo) {
  EchoRequest request;
  request.set_text("hello");
  auto reply = co_await echo.async_call<&Echo::Stub::PrepareAsyncSay>(request);
  fmt::print("{}\n", reply ? reply->text() : reply.error().error_message());
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
  // [methods]
  auto methods = std::make_shared<millrace::method_table>();
  methods->add("millrace.echo.Echo", "Say", {.timeout = 500ms, .idempotent = true});
  methods->add("millrace.echo.Echo", "", {.timeout = 2s, .wait_for_ready = true});  // the service's other methods
  millrace::client<Echo> by_method{pool, {.methods = std::move(methods)}};
  // [end]
  co_spawn(loop, say_hello(client), asio::detached);
  co_spawn(loop, say_hello(by_method), asio::detached);
  loop.run();
}
