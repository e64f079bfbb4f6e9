// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/unary_call.hpp>

#include <utility>

namespace millrace {

using namespace impl;

void unary_call::cancel(boost::asio::cancellation_type type) noexcept {
  using boost::asio::cancellation_type;
  if ((type & cancellation_type::terminal) != cancellation_type::none) {
    cancel_as(cancel_depth::terminal);
  } else if ((type & cancellation_type::partial) != cancellation_type::none) {
    cancel_as(cancel_depth::partial);
  } else if ((type & cancellation_type::total) != cancellation_type::none) {
    cancel_as(cancel_depth::total);
  }
}

void unary_call::open(leg& on, time_point deadline) {
  on.wire = client_->transport().start({.channel = on.right.channel(),
                                        .method = method_,
                                        .kind = kind_,
                                        .payload = outgoing_,
                                        .headers = headers_,
                                        .deadline = deadline,
                                        .previous_attempts = machine_.previous_attempts()},
                                       bound<void(completion)>::to<&leg::on_back>(on));
}

void leg::on_back(completion how) {
  if (call.back(*this, how)) call.settle(*this);
}

// ---- the end

void unary_call::run_end(call_end why) {
  bool const answered = why == call_end::attempt;
  if (answered) incoming_ = std::move(static_cast<unary_attempt&>(*last_back_->wire).response);
  stage_ = answered ? hook::initial_metadata : hook::done;
  run_stages();
}

void unary_call::run_done() {
  stage_ = hook::done;
  run_stages();
}

void unary_call::run_stages() {
  for (;;) {
    if (stage_ == hook::done) parse_response();
    bool const skip = stage_ == hook::recv_message && !result_.ok();
    if (wants(stage_) && !skip) {
      if (!after_stage(run_stage(stage_))) return;
    } else if (stage_ == hook::done) {
      return step(call_event::ended{});
    } else {
      stage_ = stage_ == hook::initial_metadata ? hook::recv_message : hook::done;
    }
  }
}

// true when there is another stage to run
bool unary_call::after_stage(chain_action&& action) {
  switch (action.what) {
    case chain_action::kind::held: bound_hold(); return false;
    case chain_action::kind::finished: result_ = std::move(*action.outcome); break;
    case chain_action::kind::passed:
    case chain_action::kind::refused: break;
  }
  if (stage_ == hook::done) {
    parse_response();
    step(call_event::ended{});
    return false;
  }
  bool const ended = action.what == chain_action::kind::finished || stage_ == hook::recv_message;
  stage_ = ended ? hook::done : hook::recv_message;
  return true;
}

void unary_call::on_resumed(chain_action&& action) {
  if (machine_.state() != call_state::ending) return;
  if (after_stage(std::move(action))) run_stages();
}

void unary_call::complete() {
  waits_for_memory_ = memory_first_ && (out_ > 0 || context_.handle_out());
  if (!waits_for_memory_) loop_.schedule(complete_);
}

void unary_call::hand_over(completion how) {
  waits_for_memory_ = false;
  delivered_ = true;
  deliver(how, out_ == 0 && !context_.handle_out());
}

void unary_call::free_if_over() noexcept {
  if (out_ > 0) return;
  if (waits_for_memory_) return complete();
  if (delivered_ && !context_.handle_out()) destroy();
}

void unary_call::give_up() {
  if (out_ > 0 || interrupt_queued()) return;
  if (delivered_) return free_if_over();
  if (!machine_.ended() || waits_for_memory_) hand_over(completion::abandoned);  // else its completion does
}

}  // namespace millrace
