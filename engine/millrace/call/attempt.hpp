// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>
#include <millrace/call/call_kind.hpp>
#include <millrace/time/clock.hpp>

#include <string>

namespace millrace {

class channel;
class metadata;
class method;

/// What one attempt of a call begins with. All of it outlives the attempt.
struct attempt_request {
  millrace::channel& channel;
  millrace::method const& method;
  call_kind kind;
  message const& payload;  ///< The one message that a unary call or a server stream sends.
  metadata const& headers;
  time_point deadline;
  unsigned previous_attempts;  ///< Sent as `grpc-previous-rpc-attempts` unless 0.
};

/// One attempt of a call on the wire, in a recycled block of the transport's.
class attempt {
 public:
  attempt() noexcept = default;
  attempt(attempt const&) = delete;
  attempt& operator=(attempt const&) = delete;

  /// Ends it soon, as CANCELLED unless it had ended already. Its completion still comes.
  virtual void cancel() noexcept = 0;

  /// What gRPC calls the far end of its connection; empty when it reached none.
  virtual std::string peer() const = 0;

  /// Frees it. Only after its completion.
  virtual void release() noexcept = 0;

  metadata_view headers;  ///< What the server sent first: when it completes, or, of a stream, from on_headers on.

  // set when it completes, valid until release

  status result;
  metadata_view trailers;
  bool committed = false;   ///< Response headers arrived: a retry could run the method twice in the server's eyes (A6).
  bool never_left = false;  ///< It provably reached no connection.
  bool by_limit =
      false;  ///< A limit of this side's on a message ended it: no fault of the server's, and the next would end so too.

 protected:
  ~attempt() = default;
};

/// One of a unary call.
class unary_attempt : public attempt {
 public:
  message response;  ///< When it completes; empty unless `result` is OK.

 protected:
  ~unary_attempt() = default;
};

}  // namespace millrace
