// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace millrace {

/// Why an engine operation that is not an RPC did not succeed. Each value has a row in docs/reference/errors.md.
enum class errc {
  /// The operation's own deadline passed.
  timed_out = 1,
  /// The caller cancelled it through its cancellation slot.
  cancelled,
  /// The loop is stopping: nothing new starts.
  loop_stopping,
  /// The pool is draining or closed: it hands out no more leases.
  pool_closed,
  /// The pool's waiting queue is full.
  queue_full,
  /// Every slot is backing off, and the caller did not ask to wait.
  no_endpoint_ready,
  /// More is asked for than the pool's `max_slots` could ever give.
  out_of_range,
  /// It waited for a slot for as long as the pool's `max_wait` allows.
  waited_too_long,
  /// The pool has no endpoint of that address.
  unknown_endpoint,
  /// Another operation of this kind is under way on the stream: one read and one write at a time.
  operation_in_progress,
  /// The stream's sending side is closed: after `writes_done`.
  half_closed,
  /// `async_finish` was called before on the stream.
  finishing,
  /// The stream has ended, or takes no more messages; `async_finish` tells how it ended.
  stream_ended,
};

/// The category `millrace`.
boost::system::error_category const& engine_category() noexcept;

inline boost::system::error_code make_error_code(errc value) noexcept {
  return {static_cast<int>(value), engine_category()};
}

using error_code = boost::system::error_code;

}  // namespace millrace

template <>
struct boost::system::is_error_code_enum<millrace::errc> : std::true_type {};
