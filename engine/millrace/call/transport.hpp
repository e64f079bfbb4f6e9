// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/base/message.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/time/clock.hpp>

#include <string>

namespace millrace {

class channel;
class metadata;
class method;
class stream_attempt;
class stream_listener;
struct stream_request;

/// What one attempt of a unary call sends. All of it outlives the attempt.
struct attempt_request {
  millrace::channel& channel;
  millrace::method const& method;
  message const& payload;
  metadata const& headers;
  time_point deadline;
  unsigned previous_attempts;  ///< Sent as `grpc-previous-rpc-attempts` unless 0.
};

/// One attempt of a unary call on the wire, in a recycled block of the transport's.
class attempt {
 public:
  attempt() noexcept = default;
  attempt(attempt const&) = delete;
  attempt& operator=(attempt const&) = delete;

  /// Ends it soon, as CANCELLED unless it had ended already. Its completion still comes.
  virtual void cancel() noexcept = 0;

  /// What gRPC calls the far end of its connection; empty when it reached none. Only after its completion.
  virtual std::string peer() const = 0;

  /// Frees it. Only after its completion.
  virtual void release() noexcept = 0;

  // set when it completes, valid until release

  status result;
  message response;       ///< Empty unless `result` is OK.
  metadata_view headers;  ///< What the server sent first.
  metadata_view trailers;
  bool committed = false;   ///< Response headers arrived: a retry could run the method twice in the server's eyes (A6).
  bool never_left = false;  ///< It provably reached no connection.

 protected:
  ~attempt() = default;
};

/// Starts attempts: gRPC's (grpc_transport) or simulated ones. Virtual and not a template, so that the call's driver is
/// compiled once; measured, the virtual call is lost in the noise of a call (docs/design/0005-virtual-transport.md).
class transport {
 public:
  virtual ~transport() = default;

  /// `done` is called once, never from inside `start` or `cancel`: with `abandoned` when the loop ends first, and otherwise
  /// whatever the outcome.
  virtual attempt* start(attempt_request const& request, bound<void(completion)> done) = 0;

  /// Starts an attempt of a stream (stream_attempt.hpp), whose listener outlives it.
  virtual stream_attempt* open(stream_request const& request, stream_listener& listener) = 0;
};

}  // namespace millrace
