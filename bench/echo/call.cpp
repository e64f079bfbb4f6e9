// SPDX-License-Identifier: Apache-2.0
#include "call.hpp"

#include "server.hpp"

namespace millrace::echo {

call::call(server& owner) : owner_(owner) {
  start(state::accepting, [this](void* tag) { owner_.request(context_, stream_, tag); });
}

template <class Init>
void call::start(state next, Init init) {
  state_ = next;
  owner_.loop_.start(event_, op_kind::user, "echo call", init);
}

void call::on_event(completion how) {
  bool const ok = how == completion::ok;
  switch (state_) {
    case state::accepting:
      // not ok: the server shuts down
      if (!ok) break;
      owner_.accept_next();
      return start(state::reading, [this](void* tag) { stream_.Read(&payload_, tag); });
    case state::reading: has_message_ = ok; return delay_or_answer();
    case state::answering: owner_.answered(); break;
  }
  delete this;
}

void call::delay_or_answer() {
  auto const by = owner_.draw_delay();
  if (by <= by.zero()) return answer();
  owner_.delay(*this, later_, by);
}

void call::hurry() {
  owner_.loop_.disarm(later_);
  unlink();
  answer();
}

void call::answer() {
  owner_.cork_.before_reply(context_);
  start(state::answering, [this](void* tag) {
    if (!has_message_) {
      stream_.Finish({grpc::StatusCode::INVALID_ARGUMENT, "an echo needs one message"}, tag);
    } else if (auto const code = owner_.draw_failure()) {
      // nothing was sent before it, so this goes out as Trailers-Only
      stream_.Finish({*code, "failed on purpose by --fail-rate"}, tag);
    } else {
      stream_.WriteAndFinish(payload_, grpc::WriteOptions(), grpc::Status::OK, tag);
    }
  });
}

}  // namespace millrace::echo
