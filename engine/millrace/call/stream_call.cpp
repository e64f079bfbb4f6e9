// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/stream_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/time/duration_text.hpp>

#include <utility>

namespace millrace {

using namespace impl;

stream_call::stream_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message request,
                         call_options const& options, stream_options const& how)
    : active_call(std::move(client), called, kind, std::move(request), options),
      how_(how),
      stream_(kind),
      queue_(how.write_watermark) {}

void stream_call::begin() noexcept {
  working_ = true;
  loop_.work_started();
  submit();
}

metadata_view stream_call::trailing_metadata() const noexcept {
  bool const over = shown() != nullptr && last_back_ != nullptr && shown() == last_back_->wire && !last_back_->out;
  return over ? shown()->trailers : metadata_view{};
}

// ---- the user

void stream_call::read(stream_reader& one) {
  if (auto const why = refusal(stream_operation_kind::read, reader_)) {
    stream_waiter* refused = &one;
    return end_waiter(refused, why);
  }
  reader_ = &one;
  feed(stream_event::read{});
}

void stream_call::write(stream_waiter& one, message&& payload) {
  if (auto const why = refusal(stream_operation_kind::write, writer_)) {
    stream_waiter* refused = &one;
    return end_waiter(refused, why);
  }
  writer_ = &one;
  if (payload.empty()) {
    cut_off(call_end::malformed, {status_code::internal, "the message could not be serialised", {}});
    return end_waiter(writer_, errc::stream_ended);
  }
  if (config_ != nullptr && exceeds(payload, config_->max_request_bytes)) {
    cut_off(call_end::malformed, oversized("Sent", payload, *config_->max_request_bytes));
    return end_waiter(writer_, errc::stream_ended);
  }
  outgoing_ = std::move(payload);
  feed(stream_event::write{});
}

error_code stream_call::writes_done() {
  if (auto const why = refusal(stream_operation_kind::writes_done, nullptr)) return *why;
  feed(stream_event::writes_done{});
  return {};
}

void stream_call::finish(stream_waiter& one) {
  if (auto const why = refusal(stream_operation_kind::finish, finisher_)) {
    stream_waiter* refused = &one;
    return end_waiter(refused, why);
  }
  finisher_ = &one;
  feed(stream_event::finish{});
}

void stream_call::cancel() {
  if (!std::exchange(cancelled_, true)) feed(stream_event::cancel{});
  cancel_as(cancel_depth::terminal);
}

void stream_call::let_go() noexcept {
  if (loop_.running_in_this_thread()) info_ = nullptr;
  loop_.submit(let_go_);
}

void stream_call::on_let_go(completion how) {
  handle_gone_ = true;
  info_ = nullptr;
  if (how != completion::abandoned) cancel();
  free_if_over();
}

// the machine does not know yet of what an interceptor asks for from inside a hook
std::optional<errc> stream_call::refusal(stream_operation_kind what, operation const* like) const noexcept {
  if (auto const why = stream_.refusal(what)) return why;
  return like != nullptr ? std::optional(errc::operation_in_progress) : std::nullopt;
}

// ---- messages

void stream_call::feed(stream_event_any const& what) {
  stream_pump_.feed(what, [this](stream_event_any const& event) {
    for (stream_action_any const& action : stream_.step(event)) {
      std::visit([this](auto const& one) { do_it(one); }, action);
    }
  });
  watch_idleness();
}

void stream_call::do_it(stream_action::pass_out) {
  outgoing_waits_ = true;
  run_stages();
}

void stream_call::do_it(stream_action::start_write action) {
  wire().write(queue_.take(), {.last = action.last, .more = action.more});
}

void stream_call::do_it(stream_action::start_read) {
  if (chosen_ == nullptr) {
    read_waits_ = true;
  } else {
    wire().read();
  }
}

void stream_call::do_it(stream_action::pass_in) {
  incoming_ = std::move(arriving_);
  incoming_waits_ = true;
  run_stages();
}

void stream_call::do_it(stream_action::deliver) {
  stream_reader& one = *std::exchange(reader_, nullptr);
  status why_not;
  if (!parse_safely(why_not, [&] { return one.parse(std::move(incoming_), why_not); })) {
    one.error = errc::stream_ended;
    cut_off(call_end::malformed, std::move(why_not));
  }
  loop_.submit(one);
}

void stream_call::do_it(stream_action::end_read action) {
  stream_waiter* one = std::exchange(reader_, nullptr);
  end_waiter(one, action.error);
}

void stream_call::end_waiter(stream_waiter*& one, std::optional<errc> error) {
  stream_waiter* const ends = std::exchange(one, nullptr);
  if (ends == nullptr) return;
  if (error) ends->error = *error;
  loop_.submit(*ends);
}

// both run from when something begins to wait, and anew when the wire has made progress
void stream_call::watch_idleness() {
  auto const watch = [this](timer& one, duration most, bool waits) {
    if (most <= duration::zero()) return;
    if (!waits) return loop_.disarm(one);
    if (!one.armed()) loop_.arm(one, saturating_add(loop_.now(), most));
  };
  bool const over = stream_.state() == stream_state::over || stream_.state() == stream_state::settled;
  watch(read_idle_, how_.read_idle_timeout, !over && stream_.awaits_server());
  watch(write_idle_, how_.write_idle_timeout, !over && stream_.awaits_wire());
}

void stream_call::on_read_idle() {
  cut_off(call_end::deadline,
          {status_code::deadline_exceeded,
           "stream_options.read_idle_timeout: no message came for " + to_text(how_.read_idle_timeout),
           {}});
}

void stream_call::on_write_idle() {
  cut_off(call_end::deadline,
          {status_code::deadline_exceeded,
           "stream_options.write_idle_timeout: no message was taken for " + to_text(how_.write_idle_timeout),
           {}});
}

// ---- the wire

void stream_call::open(leg& on, time_point deadline) {
  on.wire = client_->transport().open({.channel = on.right.channel(),
                                       .method = method_,
                                       .kind = kind_,
                                       .payload = outgoing_,
                                       .headers = headers_,
                                       .deadline = deadline,
                                       .previous_attempts = machine_.previous_attempts()},
                                      on);
  if (on.hedge) return;
  if (chosen_ != nullptr && chosen_ != &on && !chosen_->out) chosen_->drop();  // forsaken, and back
  over_ = settled_ = cut_ = read_waits_ = false;
  chosen_ = hedger_ == nullptr ? &on : nullptr;
  feed(stream_event::opened{});
}

void leg::on_headers() {
  hear();
  static_cast<stream_call&>(call).on_headers(*this);
}

void leg::on_got(message&& one) {
  if (!one.empty()) hear();
  if (!forsaken) static_cast<stream_call&>(call).on_got(std::move(one));
}

void leg::on_wrote(bool ok) {
  if (!forsaken) static_cast<stream_call&>(call).on_wrote(ok);
}

void leg::on_over(completion how) {
  if (call.back(*this, how)) static_cast<stream_call&>(call).on_over(*this);
}

void stream_call::on_headers(leg& from) {
  if (lost(from) || from.overdue || from.evicted) return;
  if (from.time_up) loop_.disarm(*from.time_up);
  if (chosen_ == nullptr) choose(from);
  if (kind_ == call_kind::server_stream) outgoing_ = {};  // no attempt follows, and this one may go on for long
  headers_wait_ = true;
  run_stages();
  if (std::exchange(read_waits_, false)) wire().read();
}

void stream_call::on_got(message&& one) {
  loop_.disarm(read_idle_);
  if (chosen_->overdue) one = {};  // the next attempt brings it again
  if (config_ != nullptr && exceeds(one, config_->max_response_bytes)) {
    cut_off(call_end::malformed, oversized("Received", one, *config_->max_response_bytes));
    one = {};
  }
  bool const any = !one.empty();
  arriving_ = std::move(one);
  feed(stream_event::got{any});
  arriving_ = {};
}

void stream_call::on_wrote(bool ok) {
  loop_.disarm(write_idle_);
  queue_.written();
  feed(stream_event::wrote{.ok = ok, .room = queue_.room()});
}

void stream_call::on_over(leg& from) {
  if (chosen_ != &from) return settle(from);
  over_ = true;
  feed(stream_event::closed{});
  // a message that an interceptor holds comes before the end
  if (!stream_.passing_in() || cut_) settle_chosen();
}

void stream_call::settle_chosen() {
  settled_ = true;
  // what was handed over is gone, and only a server stream's one request is kept
  bool const again = single_request() || (wire().never_left && !stream_.handed_over());
  if (!again) wire().committed = true;
  settle(*chosen_);
}

// ---- the call

// it ends with a status of this side's
void stream_call::cut_off(call_end why, millrace::status how) {
  if (own_end_ || machine_.state() == call_state::ending || machine_.ended()) return;
  own_end_ = why;
  result_ = std::move(how);
  cancel_as(cancel_depth::terminal);
}

void stream_call::on_cut() {
  cut_ = true;
  if (!over_ || settled_) return;
  // it was over but for a message that an interceptor holds, and which goes nowhere now
  wire().result = {status_code::cancelled, "cancelled by the caller", {}};
  settle_chosen();
}

void stream_call::run_end(call_end) {
  headers_wait_ = incoming_waits_ = outgoing_waits_ = false;
  parse_response();
  feed(stream_event::ended{});
  if (chain_.where() != chain_machine::state::running) run_done();  // else when the hook has returned
}

void stream_call::complete() {
  feed(stream_event::settled{});
  if (std::exchange(working_, false)) loop_.work_finished();
  free_if_over();
}

// ---- interceptors

// one at a time: while an interceptor holds one message, those behind it wait, in both directions
void stream_call::run_stages() {
  for (;;) {
    call_state const now_is = machine_.state();
    bool const begun =
        now_is == call_state::queued || now_is == call_state::attempting || now_is == call_state::backing_off;
    bool const busy = chain_.where() == chain_machine::state::held || chain_.where() == chain_machine::state::running;
    if (!begun || busy) return;
    if (std::exchange(headers_wait_, false)) {
      begin_stage(hook::initial_metadata);
    } else if (std::exchange(incoming_waits_, false)) {
      begin_stage(hook::recv_message);
    } else if (std::exchange(outgoing_waits_, false)) {
      begin_stage(hook::send_message);
    } else {
      return;
    }
  }
}

void stream_call::begin_stage(hook stage) {
  stage_ = stage;
  if (!client_->params().interceptors.wants(stage)) return passed(stage);
  after_stage(run_stage(stage));
}

void stream_call::after_stage(chain_action&& action) {
  // the hook ended the call from inside
  if (machine_.state() == call_state::ending && !done_begun_) return run_done();
  switch (action.what) {
    case chain_action::kind::held: return bound_hold();
    case chain_action::kind::finished: return cut_off(call_end::intercepted, std::move(*action.outcome));
    case chain_action::kind::passed: return passed(stage_);
    case chain_action::kind::refused: return;
  }
}

void stream_call::passed(hook stage) {
  if (stage == hook::send_message) {
    queue_.push(std::move(outgoing_));
    feed(stream_event::passed_out{.room = queue_.room()});
  } else if (stage == hook::recv_message) {
    feed(stream_event::passed_in{});
    if (over_ && !settled_ && !stream_.passing_in()) settle_chosen();
  }
}

void stream_call::on_resumed(chain_action&& action) {
  switch (machine_.state()) {
    case call_state::ending: after_done(std::move(action)); break;
    case call_state::queued:
    case call_state::attempting:
    case call_state::backing_off:
      after_stage(std::move(action));
      run_stages();
      break;
    case call_state::starting:
    case call_state::fresh:
    case call_state::ended: break;
  }
}

void stream_call::run_done() {
  chain_.abandon();  // what holds a message is not waited for
  done_begun_ = true;
  stage_ = hook::done;
  if (!wants(hook::done)) return step(call_event::ended{});
  after_done(run_stage(hook::done));
}

void stream_call::after_done(chain_action&& action) {
  if (action.what == chain_action::kind::held) return bound_hold();
  if (action.what == chain_action::kind::finished) {
    result_ = std::move(*action.outcome);
    parse_response();
  }
  step(call_event::ended{});
}

// ---- the end

// the loop ends: whoever waits is destroyed uncalled
void stream_call::give_up() {
  if (out_ > 0 || interrupt_queued()) return;
  abandoned_ = true;
  if (chosen_ != nullptr) chosen_->right.release(status_code::cancelled);
  first_.right.release(status_code::cancelled);
  leave_client();
  if (std::exchange(working_, false)) loop_.work_finished();
  if (reader_ != nullptr) loop_.schedule(*std::exchange(reader_, nullptr));
  if (writer_ != nullptr) loop_.schedule(*std::exchange(writer_, nullptr));
  if (finisher_ != nullptr) loop_.schedule(*std::exchange(finisher_, nullptr));
  free_if_over();
}

void stream_call::free_if_over() noexcept {
  bool const over = handle_gone_ && out_ == 0 && (machine_.ended() || abandoned_);
  if (!over || context_.handle_out() || interrupt_queued() || std::exchange(free_queued_, true)) return;
  loop_.schedule(free_);
}

}  // namespace millrace
