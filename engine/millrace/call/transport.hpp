// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/call/attempt.hpp>
#include <millrace/loop/operation.hpp>

namespace millrace {

class stream_attempt;
class stream_listener;

/// Starts attempts: gRPC's (grpc_transport) or simulated ones. Virtual and not a template, so that the call's driver is
/// compiled once; measured, the virtual call is lost in the noise of a call (docs/design/0005-virtual-transport.md).
class transport {
 public:
  virtual ~transport() = default;

  /// Starts one of a unary call. `done` is called once, never from inside `start` or `cancel`: with `abandoned` when the loop ends
  /// first, and otherwise whatever the outcome.
  virtual unary_attempt* start(attempt_request const& request, bound<void(completion)> done) = 0;

  /// Starts one of a stream (stream_attempt.hpp), whose listener outlives it.
  virtual stream_attempt* open(attempt_request const& request, stream_listener& listener) = 0;
};

}  // namespace millrace
