// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <algorithm>
#include <iterator>

namespace millrace::peers {
namespace {

// a thread for each call in flight
constexpr unsigned most_threads = 512;

constexpr client known[] = {
    {"textbook", "generated asynchronous stub, one CompletionQueue, one heap object a call", run_textbook},
    {"callback-api", "generated stub's callback API, on gRPC's own threads", run_callback_api},
    {"sync", "generated synchronous stub, one thread for each call in flight", run_sync, asked::always, most_threads},
    {"textbook-pool", "textbook on a pool's stub channel", run_textbook_pool, asked::by_name},
    {"callback-api-pool", "callback-api on one", run_callback_api_pool, asked::by_name},
    {"sync-pool", "sync on one", run_sync_pool, asked::by_name, most_threads},
#ifdef MILLRACE_ASIO_GRPC
    {"asio-grpc", "asio-grpc: one GrpcContext, one coroutine for each call in flight", run_asio_grpc},
#endif
    {"core", "C core: one batch a call, recycled blocks, channel arguments that switch off what a unary call can spare",
     run_core},
    {"attempt", "the engine's attempts on a channel of its own, without pool, policies, interceptors and counters",
     run_attempt, asked::by_name},
    {"millrace", "the engine, callbacks: pool, picker, retry policy, deadline, counters, two interceptors",
     run_millrace},
    {"millrace-coro", "the same, with one coroutine for each call in flight", run_millrace_coro},
    {"millrace-nocork", "millrace without write coalescing", run_millrace_nocork},
    {"millrace-transparent-core", "millrace with transparent_retry::core", run_millrace_transparent_core,
     asked::by_name},
};

}  // namespace

std::span<client const> all_clients() noexcept { return known; }

client const* find_client(std::string_view name) noexcept {
  auto const at = std::ranges::find(known, name, &client::name);
  return at == std::end(known) ? nullptr : at;
}

}  // namespace millrace::peers
