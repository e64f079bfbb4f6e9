// SPDX-License-Identifier: Apache-2.0
#include "call.hpp"

#include "server.hpp"

namespace millrace::echo {

call::call(server& owner) : owner_(owner) { owner_.request(context_, stream_, this); }

void call::complete(bool ok) {
  switch (state_) {
    case state::accepting:
      // not ok: the server shuts down
      if (!ok) break;
      owner_.accept_next();
      return read();
    case state::reading: has_message_ = ok; return delay_or_answer();
    case state::delaying: unlink(); return answer();
    case state::answering: break;
  }
  owner_.finished(state_ == state::answering);
  delete this;
}

void call::read() {
  state_ = state::reading;
  stream_.Read(&payload_, this);
}

void call::delay_or_answer() {
  if (!owner_.delays()) return answer();
  state_ = state::delaying;
  owner_.delay(*this, alarm_);
}

void call::answer() {
  state_ = state::answering;
  if (!has_message_) {
    stream_.Finish({grpc::StatusCode::INVALID_ARGUMENT, "an echo needs one message"}, this);
  } else if (auto const code = owner_.draw_failure()) {
    // nothing was sent before it, so this goes out as Trailers-Only
    stream_.Finish({*code, "failed on purpose by --fail-rate"}, this);
  } else {
    stream_.WriteAndFinish(payload_, grpc::WriteOptions(), grpc::Status::OK, this);
  }
}

}  // namespace millrace::echo
