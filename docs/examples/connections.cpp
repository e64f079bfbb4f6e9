// SPDX-License-Identifier: Apache-2.0
// A pool with everything set that one may want to set, and a look at its slots. usage: connections [HOST:PORT,…]
#include <millrace/call/client.hpp>

#include <fmt/core.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  millrace::loop loop;
  // [pool]
  auto arguments = std::make_shared<grpc::ChannelArguments>();
  arguments->SetInt(GRPC_ARG_HTTP2_WRITE_BUFFER_SIZE, 256 * 1024);
  millrace::pool pool{loop,
                      {.target = argc > 1 ? argv[1] : "localhost:50051",
                       .min_slots = 2,
                       .max_slots = 4,
                       .max_calls_per_slot = 100,
                       .max_waiting = 1'000,
                       .balance = "least_request",
                       .slot = {.backoff = {.initial = 200ms, .max = 5s}, .dial_timeout = 3s},
                       .channel_args = arguments}};
  // [end]

  // [ready]
  pool.async_ready({.min_ready = 2, .timeout = 5s}, [&](millrace::error_code error) {
    if (error) fmt::print("{}: {}\n", error.message(), pool.why_not_ready());
    for (millrace::slot_snapshot const& slot : pool.snapshot().slots) {
      fmt::print("slot {} to {}: {}\n", slot.number, slot.endpoint, to_string(slot.state));
    }
  });
  // [end]
  loop.run();
}
