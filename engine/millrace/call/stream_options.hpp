// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <cstddef>

namespace millrace {

/// What streams have beside call_options.
///
/// A stream has no deadline unless `call_options::timeout`, its method's settings or `client_params::default_stream_timeout` give it
/// one: `default_timeout` is for calls that answer soon, and would end a long stream in its midst.
struct stream_options {
  /// The longest that an `async_read` or `async_finish` may wait for the server's next message, the wait for a slot included. Then
  /// the stream ends with DEADLINE_EXCEEDED. 0: any time.
  duration read_idle_timeout{};

  /// The longest that messages may wait without gRPC taking one, the wait for a slot included. Then the stream ends with
  /// DEADLINE_EXCEEDED. 0: any time.
  duration write_idle_timeout{};

  /// In bytes. `async_write` completes once fewer, its own included, wait to be taken by gRPC; so the stream holds at most this and
  /// one message, beside what gRPC buffers, which is about as much. 0: each write completes when its message was taken.
  std::size_t write_watermark = std::size_t{64} * 1024;
};

}  // namespace millrace
