// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/stream_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/time/duration_text.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace millrace {

using namespace impl;

stream_call::stream_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message payload,
                         call_options const& options, stream_options const& how)
    : client_(std::move(client)),
      loop_(client_->context()),
      method_(called),
      kind_(kind),
      how_(how),
      config_(client_->config_of(called)),
      payload_(std::move(payload)),
      wait_for_ready_(waits_for_ready(config_, options)),
      info_(options.info),
      started_(loop_.running_in_this_thread() ? loop_.now() : loop_.events().now()),
      context_(method_.path(), headers_, *this),
      chain_(client_->params().interceptors),
      call_(retry_of(*client_, config_), client_->budget(), loop_.random(),
            limit_to(deadline_of(started_, config_, options, duration::max())), client_->throttle()),
      stream_(kind),
      queue_(how.write_watermark),
      waiter_(permit_, bound<void(error_code)>::to<&stream_call::on_served>(*this)) {
  waiter_.hash = options.hash_key.hash();
  context_.set_started(started_);
  for (auto const& [key, value] : options.metadata) legal_metadata_ = headers_.try_add(key, value) && legal_metadata_;
}

// for the machine and the interceptors at once
time_point stream_call::limit_to(time_point deadline) noexcept {
  context_.set_deadline(deadline);
  return deadline;
}

stream_call::~stream_call() { drop_attempt(); }

void stream_call::begin() noexcept {
  working_ = true;
  loop_.work_started();
  loop_.submit(begin_);
}

void stream_call::on_begin(completion how) {
  if (how == completion::abandoned) return abandon();
  client_->enter(*this);
  if (told() != nullptr) told()->on(events::call_started{.at = loop_.now(), .method = method_.path()});
  if (context_.deadline() != never) loop_.arm(deadline_timer_, context_.deadline());
  if (client_->pool() != nullptr) client_->pool()->budget().deposit(loop_.now());
  if (cancelled_early_) step(call_event::cancel{cancel_depth::terminal});
  if (context_.deadline() <= loop_.now()) step(call_event::deadline{});
  step(call_event::start{});
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
  feed(stream_event::cancel{});
  if (call_.state() == call_state::fresh) {
    cancelled_early_ = true;
  } else {
    step(call_event::cancel{cancel_depth::terminal});
  }
}

void stream_call::let_go() noexcept { loop_.submit(let_go_); }

void stream_call::on_let_go(completion how) {
  handle_gone_ = true;
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
  attempt_->write(queue_.take(), {.last = action.last, .more = action.more});
}

void stream_call::do_it(stream_action::start_close) { attempt_->half_close(); }

void stream_call::do_it(stream_action::drop_queue) { queue_.clear(); }

void stream_call::do_it(stream_action::start_read) { attempt_->read(); }

void stream_call::do_it(stream_action::pass_in) {
  incoming_ = std::move(arriving_);
  incoming_waits_ = true;
  run_stages();
}

void stream_call::do_it(stream_action::drop_message) { incoming_ = {}; }

void stream_call::do_it(stream_action::end_write action) { end_waiter(writer_, action.error); }

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

void stream_call::do_it(stream_action::end_finish) { end_waiter(finisher_, {}); }

void stream_call::end_waiter(stream_waiter*& one, std::optional<errc> error) {
  stream_waiter* const ends = std::exchange(one, nullptr);
  if (ends == nullptr) return;
  if (error) ends->error = *error;
  loop_.submit(*ends);
}

template <class Parse>
bool stream_call::parse_safely(millrace::status& why_not, Parse parse) {
  try {
    return parse();
  } catch (std::exception const& error) {
    why_not = {status_code::internal, std::string("the response could not be read: ") + error.what(), {}};
  } catch (...) {
    why_not = {status_code::internal, "the response could not be read: something that is no std::exception", {}};
  }
  return false;
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

void stream_call::on_headers() {
  headers_wait_ = true;
  run_stages();
}

void stream_call::on_got(message&& one) {
  loop_.disarm(read_idle_);
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

void stream_call::on_over(completion how) {
  if (how == completion::abandoned) {
    if (loop_.ending()) {
      permit_.release(status_code::cancelled);
      return abandon();
    }
    attempt_->result = {status_code::unavailable, "the loop is stopping", {}};
  }
  over_ = true;
  feed(stream_event::closed{});
  // a message that an interceptor holds comes before the end
  if (!stream_.passing_in() || cut_) settle_attempt();
}

void stream_call::settle_attempt() {
  settled_ = true;
  if (told() != nullptr) {
    told()->on(events::attempt_finished{.at = loop_.now(),
                                        .method = method_.path(),
                                        .endpoint = permit_.endpoint(),
                                        .slot = last_slot_,
                                        .number = call_.attempts(),
                                        .code = attempt_->result.code,
                                        .message = attempt_->result.message,
                                        .elapsed = loop_.now() - attempt_started_,
                                        .never_left = attempt_->never_left});
  }
  if (info_ != nullptr) info_->endpoint = permit_.endpoint();
  permit_.release(attempt_->result.code);
  if (attempt_->result.ok() && client_->throttle() != nullptr) client_->throttle()->record_success();
  if (revoked_)
    step(call_event::revoke{});  // before the interrupt that brings it: the budget may be gone with the pool
  // what was handed over is gone, and only a server stream's one request is kept
  bool const again = kind_ == call_kind::server_stream || (attempt_->never_left && !stream_.handed_over());
  step(call_event::attempt_done{.code = attempt_->result.code,
                                .committed = attempt_->committed || !again,
                                .never_left = attempt_->never_left,
                                .trailers = &attempt_->trailers});
}

void stream_call::drop_attempt() noexcept {
  if (attempt_ != nullptr) std::exchange(attempt_, nullptr)->release();
}

// ---- the call

void stream_call::step(decltype(call_event_at::what) what) {
  call_pump_.feed({loop_.now(), what}, [this](call_event_at const& event) {
    for (call_action_any const& action : call_.step(event)) {
      std::visit([this](auto const& one) { do_it(one); }, action);
    }
  });
}

// the call ends with a status of this side's
void stream_call::cut_off(call_end why, millrace::status how) {
  if (own_end_ || call_.state() == call_state::ending || call_.ended()) return;
  own_end_ = {why, std::move(how)};
  if (call_.state() == call_state::fresh) {
    cancelled_early_ = true;
  } else {
    step(call_event::cancel{cancel_depth::terminal});
  }
}

void stream_call::do_it(call_action::run_start) {
  if (!legal_metadata_) return malformed(illegal_metadata());
  if (kind_ == call_kind::server_stream) {
    if (payload_.empty()) return malformed({status_code::internal, "the request could not be serialised", {}});
    if (config_ != nullptr && exceeds(payload_, config_->max_request_bytes)) {
      return malformed(oversized("Sent", payload_, *config_->max_request_bytes));
    }
  }
  stage_ = hook::start;
  if (client_->params().interceptors.hooks().empty()) return step(call_event::start_passed{});
  after_start(run_hook(hook::start));
}

void stream_call::malformed(millrace::status&& why) {
  own_end_ = {call_end::malformed, std::move(why)};
  step(call_event::start_finished{call_end::malformed});
}

void stream_call::do_it(call_action::queue) {
  pool* const from = client_->pool();
  if (from == nullptr) return refused(errc::pool_closed);
  waiter_.wait_for_ready = wait_for_ready_;
  if (!waiter_.hash && !client_->params().hash_header.empty()) {
    waiter_.hash = hash_key(headers_.find(client_->params().hash_header).value_or(std::string_view{})).hash();
  }
  if (last_slot_ != balance::nobody) waiter_.avoid_slot = last_slot_;
  error_code error;
  switch (from->acquire(waiter_, error)) {
    case pool::acquired::now: step(call_event::admitted{}); break;
    case pool::acquired::later: break;
    case pool::acquired::never: return refused(error);
  }
  run_stages();  // what was written meanwhile
}

void stream_call::refused(error_code error) {
  refusal_ = error;
  step(call_event::refused{.may_retry = error == make_error_code(errc::no_endpoint_ready)});
}

// a refusal may come from the pool's destructor, where nothing of the user's may run, interceptors included
void stream_call::on_served(error_code error) {
  if (!error) return step(call_event::admitted{});
  refusal_ = error;
  refused_ = true;
  interrupt_soon();
}

void stream_call::do_it(call_action::leave_queue action) {
  if (client_->pool() == nullptr) return;
  client_->pool()->give_up(waiter_, action.why == call_end::deadline ? errc::timed_out : errc::cancelled);
}

void stream_call::do_it(call_action::start_attempt) {
  drop_attempt();
  over_ = settled_ = cut_ = false;
  attempt_started_ = loop_.now();
  last_slot_ = permit_.slot_number();
  waiter_.avoid_endpoint = permit_.endpoint_number();
  if (told() != nullptr) {
    told()->on(events::attempt_started{.at = loop_.now(),
                                       .method = method_.path(),
                                       .endpoint = permit_.endpoint(),
                                       .slot = last_slot_,
                                       .number = call_.attempts()});
  }
  attempt_ = client_->transport().open({.channel = permit_.channel(),
                                        .method = method_,
                                        .kind = kind_,
                                        .payload = payload_,
                                        .headers = headers_,
                                        .deadline = context_.deadline(),
                                        .previous_attempts = call_.previous_attempts()},
                                       *this);
  feed(stream_event::opened{});
}

void stream_call::do_it(call_action::cancel_attempts) {
  cut_ = true;
  if (!over_) return attempt_->cancel();
  // it was over but for a message that an interceptor holds, and which goes nowhere now
  attempt_->result = {status_code::cancelled, "cancelled by the caller", {}};
  settle_attempt();
}

void stream_call::do_it(call_action::wait action) {
  if (attempt_ != nullptr) feed(stream_event::lost{});
  if (told() != nullptr) {
    told()->on(events::retry_scheduled{.at = loop_.now(),
                                       .method = method_.path(),
                                       .next_attempt = call_.attempts() + 1,
                                       .code = attempt_ != nullptr ? attempt_->result.code : status_code::unavailable,
                                       .delay = std::max(action.until - loop_.now(), duration::zero()),
                                       .transparent = action.transparent});
  }
  loop_.arm(backoff_timer_, action.until);
}

void stream_call::do_it(call_action::stop_waiting) { loop_.disarm(backoff_timer_); }

// streams are not hedged
void stream_call::do_it(call_action::hedge) {}

void stream_call::tell_denied(retry_denial why) {
  if (told() == nullptr) return;
  told()->on(events::retry_denied{.at = loop_.now(),
                                  .method = method_.path(),
                                  .attempts = call_.attempts(),
                                  .code = attempt_ != nullptr ? attempt_->result.code : status_code::unavailable,
                                  .why = why});
}

void stream_call::do_it(call_action::end action) {
  if (action.no_retry) tell_denied(*action.no_retry);
  call_end const why = own_end_ ? own_end_->why : action.why;
  if (own_end_) {
    result_ = std::move(own_end_->how);
  } else if (why == call_end::attempt) {
    result_ = std::move(attempt_->result);
  } else if (why == call_end::deadline && context_.deadline() <= started_) {
    result_ = late_already();
  } else {
    result_ = impl::status_of(why, *client_, call_.attempts(), refusal_);
  }
  if (info_ != nullptr) {
    // the wire's own timer may win against ours by a moment
    bool const out_of_time = why == call_end::attempt && result_.code == status_code::deadline_exceeded &&
                             loop_.now() + std::chrono::milliseconds(5) >= context_.deadline();
    info_->origin = out_of_time ? call_end::deadline : why;
    info_->attempts = call_.attempts();
    if (last_slot_ != balance::nobody) info_->slot = last_slot_;
    info_->elapsed = loop_.now() - started_;
    info_->initial_metadata = kept(initial_metadata());
    info_->trailing_metadata = kept(trailing_metadata());
    info_->peer = peer();
  }
  headers_wait_ = incoming_waits_ = outgoing_waits_ = false;
  parse_response();
  feed(stream_event::ended{});
  if (chain_.where() != chain_machine::state::running) run_done();  // else when the hook has returned
}

// before the interceptors that are told how the call ended, and again after one of them that says OK instead
void stream_call::parse_response() {
  if (kind_ != call_kind::client_stream || !result_.ok() || done_begun_) return;
  if (incoming_.empty()) {
    result_ = {status_code::internal, "No message returned for unary request", {}};
  } else if (parse_safely(result_, [&] { return parse(std::move(incoming_), result_); })) {
    return;
  }
  if (info_ != nullptr) info_->origin = call_end::malformed;
}

void stream_call::do_it(call_action::complete) {
  loop_.disarm(deadline_timer_);
  if (told() != nullptr) {
    told()->on(events::call_finished{.at = loop_.now(),
                                     .method = method_.path(),
                                     .code = result_.code,
                                     .elapsed = loop_.now() - started_,
                                     .attempts = call_.attempts()});
  }
  static_cast<list_base<active_call_tag>*>(this)->unlink();
  feed(stream_event::settled{});
  if (std::exchange(working_, false)) loop_.work_finished();
  free_if_over();
}

// ---- interceptors

chain_action stream_call::run_hook(hook stage) {
  context_.set_now(loop_.now());
  context_.set_attempts(call_.attempts());
  hook_arguments arguments{.context = &context_};
  switch (stage) {
    case hook::start: break;
    case hook::send_message: arguments.payload = kind_ == call_kind::server_stream ? &payload_ : &outgoing_; break;
    case hook::initial_metadata: arguments.headers = attempt_->headers; break;
    case hook::recv_message: arguments.payload = &incoming_; break;
    case hook::done: arguments.outcome = &result_; break;
  }
  return chain_.begin(stage, arguments);
}

void stream_call::after_start(chain_action&& action) {
  for (;;) {
    switch (action.what) {
      case chain_action::kind::held: return bound_hold();
      case chain_action::kind::finished:
        own_end_ = {call_end::intercepted, std::move(*action.outcome)};
        return step(call_event::start_finished{});
      case chain_action::kind::refused: return;  // a late resume of a call that has ended
      case chain_action::kind::passed: break;
    }
    if (stage_ == hook::send_message) break;
    if (context_.deadline() != never && context_.deadline() != deadline_timer_.due()) {
      loop_.arm(deadline_timer_, context_.deadline());
      call_.shorten_deadline(context_.deadline());
    }
    if (kind_ != call_kind::server_stream || !client_->params().interceptors.wants(hook::send_message)) break;
    stage_ = hook::send_message;
    action = run_hook(hook::send_message);
  }
  step(call_event::start_passed{});
}

// one at a time: while an interceptor holds one message, those behind it wait, in both directions
void stream_call::run_stages() {
  for (;;) {
    call_state const now_is = call_.state();
    bool const begun =
        now_is == call_state::queued || now_is == call_state::attempting || now_is == call_state::backing_off;
    bool const busy = chain_.where() == chain_machine::state::held || chain_.where() == chain_machine::state::running;
    if (!begun || busy) return;
    if (std::exchange(headers_wait_, false)) {
      run_stage(hook::initial_metadata);
    } else if (std::exchange(incoming_waits_, false)) {
      run_stage(hook::recv_message);
    } else if (std::exchange(outgoing_waits_, false)) {
      run_stage(hook::send_message);
    } else {
      return;
    }
  }
}

void stream_call::run_stage(hook stage) {
  stage_ = stage;
  if (!client_->params().interceptors.wants(stage)) return passed(stage);
  after_stage(run_hook(stage));
}

void stream_call::after_stage(chain_action&& action) {
  // the hook ended the call from inside
  if (call_.state() == call_state::ending && !done_begun_) return run_done();
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
    if (over_ && !settled_ && !stream_.passing_in()) settle_attempt();
  }
}

void stream_call::run_done() {
  chain_.abandon();  // what holds a message is not waited for
  done_begun_ = true;
  stage_ = hook::done;
  bool const wanted = client_->params().interceptors.wants(hook::done) && chain_.where() != chain_machine::state::fresh;
  if (!wanted) return step(call_event::ended{});
  after_done(run_hook(hook::done));
}

void stream_call::after_done(chain_action&& action) {
  if (action.what == chain_action::kind::held) return bound_hold();
  if (action.what == chain_action::kind::finished) result_ = std::move(*action.outcome);
  step(call_event::ended{});
}

void stream_call::do_it(call_action::abandon_hold action) {
  bool const held = chain_.where() == chain_machine::state::held;
  chain_.abandon();
  if (held && action.ending) run_done();
}

// what bounds a hold is the deadline's timer, and a stopping loop waits for none, nor is there one after the deadline
void stream_call::bound_hold() noexcept {
  bool const too_late = call_.state() == call_state::ending && loop_.now() >= context_.deadline();
  if (too_late || loop_.stopping()) revoke();
}

// from any thread, and perhaps from inside the hook that took the handle
void stream_call::resume(hook_result with) noexcept {
  resumed_ = std::move(with);
  loop_.inject(resume_);
}

void stream_call::on_resumed(completion how) {
  chain_action action = chain_.resume(std::move(*std::exchange(resumed_, std::nullopt)));
  if (how != completion::abandoned && action.what != chain_action::kind::refused) {
    switch (call_.state()) {
      case call_state::starting: after_start(std::move(action)); break;
      case call_state::ending: after_done(std::move(action)); break;
      case call_state::queued:
      case call_state::attempting:
      case call_state::backing_off: after_stage(std::move(action)); break;
      case call_state::fresh:
      case call_state::ended: break;
    }
    run_stages();
  }
  if (how == completion::abandoned && attempt_ == nullptr) abandon();
  free_if_over();
}

// ---- the end

void stream_call::revoke() noexcept {
  revoked_ = true;
  interrupt_soon();
}

void stream_call::interrupt_soon() noexcept {
  if (!std::exchange(interrupt_queued_, true)) loop_.schedule(interrupt_);
}

void stream_call::on_interrupted(completion how) {
  interrupt_queued_ = false;
  if (how == completion::abandoned) {
    // an attempt that is still out comes back
    if (permit_.held() && !over_) {
      attempt_->cancel();
    } else {
      abandon();
    }
    return;
  }
  // first, because a refusal may lead to a retry, which asks the pool's budget, and a pool that revokes may be gone
  if (std::exchange(revoked_, false)) step(call_event::revoke{});
  if (std::exchange(refused_, false)) refused(refusal_);
  free_if_over();
}

// the loop ends: whoever waits is destroyed uncalled
void stream_call::abandon() {
  abandoned_ = true;
  permit_.release(status_code::cancelled);
  static_cast<list_base<active_call_tag>*>(this)->unlink();
  if (std::exchange(working_, false)) loop_.work_finished();
  if (reader_ != nullptr) loop_.schedule(*std::exchange(reader_, nullptr));
  if (writer_ != nullptr) loop_.schedule(*std::exchange(writer_, nullptr));
  if (finisher_ != nullptr) loop_.schedule(*std::exchange(finisher_, nullptr));
  free_if_over();
}

void stream_call::free_if_over() noexcept {
  bool const over = handle_gone_ && (call_.ended() || abandoned_);
  if (!over || context_.handle_out() || interrupt_queued_ || std::exchange(free_queued_, true)) return;
  loop_.schedule(free_);
}

void stream_call::on_free(completion) { destroy(); }

}  // namespace millrace
