// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/call/attempt.hpp>
#include <millrace/loop/operation.hpp>

namespace millrace {

/// Is told what becomes of an attempt. Never from inside a call of the attempt's functions.
class stream_listener {
 public:
  /// `stream_attempt::headers` are there. Not called when the server sent none.
  virtual void on_headers() = 0;
  /// A read is answered; with an empty message: there are no more.
  virtual void on_got(message&& one) = 0;
  /// A write or half-close is answered. After one that is not ok the stream takes no more.
  virtual void on_wrote(bool ok) = 0;
  /// The last call, once: the attempt is complete, and no operation is out. `abandoned` when the loop refused or outlived it.
  virtual void on_over(completion how) = 0;

 protected:
  ~stream_listener() = default;
};

/// One attempt of a stream on the wire. A clean end waits until every message was read.
class stream_attempt : public attempt {
 public:
  /// How a message is written.
  struct write_mode {
    bool last = false;  ///< Half-closes with it.
    bool more = false;  ///< Another follows at once: it may wait for that one.
  };

  // one read, and one write or half-close, at a time, until on_over

  virtual void read() = 0;
  virtual void write(message&& one, write_mode how) = 0;
  virtual void half_close() = 0;

 protected:
  ~stream_attempt() = default;
};

}  // namespace millrace
