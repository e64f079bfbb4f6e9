// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>
#include <millrace/call/call_kind.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/time/clock.hpp>

#include <string>

namespace millrace {

class channel;
class metadata;
class method;

/// What one attempt of a stream begins with. All of it outlives the attempt.
struct stream_request {
  millrace::channel& channel;
  millrace::method const& method;
  call_kind kind;
  message const& payload;  ///< The one message of a server stream; otherwise empty.
  metadata const& headers;
  time_point deadline;
  unsigned previous_attempts;  ///< Sent as `grpc-previous-rpc-attempts` unless 0.
};

/// Is told what becomes of an attempt. Never from inside a call of the attempt's functions.
class stream_listener {
 public:
  /// `stream_attempt::headers` are there. Not called when the server sent none.
  virtual void on_headers() = 0;
  /// A read is answered; with an empty message: there are no more.
  virtual void on_got(message&& one) = 0;
  /// A write or half-close is answered. After one that is not ok the stream takes no more.
  virtual void on_wrote(bool ok) = 0;
  /// The last call, once: the result is there, and no operation is out. `abandoned` when the loop refused or outlived it.
  virtual void on_over(completion how) = 0;

 protected:
  ~stream_listener() = default;
};

/// One attempt of a stream on the wire, in a recycled block of the transport's. A clean end waits until every message was read.
class stream_attempt {
 public:
  stream_attempt() noexcept = default;
  stream_attempt(stream_attempt const&) = delete;
  stream_attempt& operator=(stream_attempt const&) = delete;

  /// How a message is written.
  struct write_mode {
    bool last = false;  ///< Half-closes with it.
    bool more = false;  ///< Another follows at once: it may wait for that one.
  };

  // one read, and one write or half-close, at a time, until on_over

  virtual void read() = 0;
  virtual void write(message&& one, write_mode how) = 0;
  virtual void half_close() = 0;

  /// Ends it soon, as CANCELLED unless it had ended already.
  virtual void cancel() noexcept = 0;

  /// Frees it. Only after on_over.
  virtual void release() noexcept = 0;

  /// The other end's address, once it is known; else empty.
  virtual std::string peer() const = 0;

  /// From on_headers on; empty before.
  metadata_view headers;

  // from on_over on, until release

  status result;
  metadata_view trailers;
  bool committed = false;   ///< Response headers arrived.
  bool never_left = false;  ///< It provably reached no connection.

 protected:
  ~stream_attempt() = default;
};

}  // namespace millrace
