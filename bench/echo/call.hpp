// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "event.hpp"

#include <millrace/base/intrusive_list.hpp>

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

namespace millrace::echo {

class server;
struct delayed_tag {};

/// One call, from waiting for it to its last byte. Exactly one operation is out at any time, so one tag, this object, is
/// enough; it deletes itself when the last one is back.
class call final : public event, public list_base<delayed_tag> {
 public:
  /// Starts to wait for a call.
  explicit call(server& owner);

  void complete(bool ok) override;

  /// Answers now instead of later.
  void hurry() { alarm_.Cancel(); }

 private:
  enum class state {
    accepting,  ///< No call yet.
    reading,    ///< Its message is on the way.
    delaying,   ///< The answer waits for its alarm.
    answering,  ///< The answer is on the way.
  };

  void read();
  void delay_or_answer();
  void answer();

  server& owner_;
  state state_ = state::accepting;
  bool has_message_ = false;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  // Read fills it and Write sends the same slices: no byte is copied
  grpc::ByteBuffer payload_;
  grpc::Alarm alarm_;
};

}  // namespace millrace::echo
