// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <algorithm>
#include <array>

namespace millrace::peers {
namespace {

constexpr std::array<client, 10> known = {{
    {"textbook", "generated asynchronous stub, one CompletionQueue, one heap object a call", run_textbook},
    {"callback-api", "generated stub's callback API, on gRPC's own threads", run_callback_api},
    {"sync", "generated synchronous stub, one thread for each call in flight", run_sync, 64},
    {"textbook-pool", "textbook on a pool's stub channel", run_textbook_pool},
    {"callback-api-pool", "callback-api on one", run_callback_api_pool},
    {"sync-pool", "sync on one", run_sync_pool, 64},
    {"core", "C core: one batch a call, recycled blocks, channel arguments that switch off what a unary call can spare",
     run_core},
    {"millrace", "the engine, callbacks: pool, picker, retry policy, deadline, counters, two interceptors",
     run_millrace},
    {"millrace-coro", "the same, with one coroutine for each call in flight", run_millrace_coro},
    {"millrace-nocork", "millrace without write coalescing", run_millrace_nocork},
}};

}  // namespace

std::span<client const> all_clients() noexcept { return known; }

client const* find_client(std::string_view name) noexcept {
  auto const at = std::find_if(known.begin(), known.end(), [name](client const& one) { return one.name == name; });
  return at == known.end() ? nullptr : &*at;
}

}  // namespace millrace::peers
