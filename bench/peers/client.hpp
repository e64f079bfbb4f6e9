// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "meter.hpp"

#include <chrono>
#include <span>
#include <string>
#include <string_view>

namespace millrace::peers {

/// Of every call of every client: a deadline that is on the wire and never hit.
constexpr auto call_timeout = std::chrono::seconds{10};

/// How long a client waits for its connection.
constexpr auto connect_timeout = std::chrono::seconds{10};

/// The same for each client: unary calls of echo.proto's Say over one connection, `in_flight` at a time.
struct work {
  std::string target;  ///< `127.0.0.1:50051`.
  unsigned in_flight = 1;
  std::string text;  ///< What is sent and comes back.
};

/// When a run measures a client.
enum class asked {
  always,
  by_name,  ///< Only when --clients names it.
};

/// A way to do the work. `run` connects, makes calls until the meter has had enough, and leaves nothing behind. Throws
/// std::runtime_error when it cannot connect.
struct client {
  std::string_view name;
  std::string_view what;
  void (*run)(work const& task, meter& measure) = nullptr;
  asked when = asked::always;
  unsigned most_in_flight = 1'000'000;
};

/// All of them, in the order of the tables; the first is what the others are compared with.
std::span<client const> all_clients() noexcept;

/// Null when there is none of that name.
client const* find_client(std::string_view name) noexcept;

void run_textbook(work const& task, meter& measure);
void run_callback_api(work const& task, meter& measure);
void run_sync(work const& task, meter& measure);
void run_textbook_pool(work const& task, meter& measure);
void run_callback_api_pool(work const& task, meter& measure);
void run_sync_pool(work const& task, meter& measure);
void run_asio_grpc(work const& task, meter& measure);
void run_core(work const& task, meter& measure);
void run_attempt(work const& task, meter& measure);
void run_millrace(work const& task, meter& measure);
void run_millrace_coro(work const& task, meter& measure);
void run_millrace_nocork(work const& task, meter& measure);
void run_millrace_transparent_core(work const& task, meter& measure);

}  // namespace millrace::peers
