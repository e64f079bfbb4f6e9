// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/time/timer.hpp>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

namespace millrace::echo {

class server;
struct delayed_tag {};

/// One call, from waiting for it to its last byte. At most one operation is out at any time, so one tag is enough; it deletes
/// itself when the last one is back.
class call final : public list_base<delayed_tag> {
 public:
  /// Starts to wait for a call.
  explicit call(server& owner);

  /// Answers now instead of later.
  void hurry();

 private:
  enum class state {
    accepting,  ///< No call yet.
    reading,    ///< Its message is on the way.
    answering,  ///< The answer waits for its time, or is on the way.
  };

  void on_event(completion how);
  template <class Init>
  void start(state next, Init init);
  void delay_or_answer();
  void answer();

  server& owner_;
  state state_ = state::accepting;
  bool has_message_ = false;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  // Read fills it and Write sends the same slices: no byte is copied
  grpc::ByteBuffer payload_;
  tag<&call::on_event> event_{*this};
  timer later_{bound<void()>::to<&call::hurry>(*this)};
};

}  // namespace millrace::echo
