// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/unary_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/metrics/observer.hpp>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace millrace {

using namespace impl;

namespace {

bool is_idempotent(client_core const& client, method_config const* config, call_options const& options) noexcept {
  if (options.idempotent) return *options.idempotent;
  return config != nullptr && config->idempotent ? *config->idempotent : client.params().idempotent;
}

}  // namespace

unary_call::unary_call(std::shared_ptr<client_core> client, method const& called, message payload,
                       call_options const& options)
    : client_(std::move(client)),
      loop_(client_->context()),
      method_(called),
      config_(client_->config_of(called)),
      payload_(std::move(payload)),
      wait_for_ready_(waits_for_ready(config_, options)),
      hedged_(client_->hedges() && is_idempotent(*client_, config_, options)),
      info_(options.info),
      started_(loop_.running_in_this_thread() ? loop_.now() : loop_.events().now()),
      context_(method_.path(), headers_, *this),
      chain_(client_->params().interceptors),
      machine_(retry_of(*client_, config_), client_->budget(), loop_.random(),
               limit_to(deadline_of(started_, config_, options, client_->params().default_timeout)),
               client_->throttle()),
      waiter_(first_.right, bound<void(error_code)>::to<&unary_call::on_served>(*this)) {
  waiter_.hash = options.hash_key.hash();
  context_.set_started(started_);
  for (auto const& [key, value] : options.metadata) legal_metadata_ = headers_.try_add(key, value) && legal_metadata_;
}

// for the machine and the interceptors at once
time_point unary_call::limit_to(time_point deadline) noexcept {
  context_.set_deadline(deadline);
  return deadline;
}

unary_call::~unary_call() {
  while (hedges_ != nullptr) free_last_hedge();
}

void unary_call::begin() noexcept { loop_.submit(begin_); }

void unary_call::cancel(boost::asio::cancellation_type type) noexcept {
  if (machine_.state() == call_state::fresh) {
    cancelled_early_ = cancelled_early_ ? *cancelled_early_ | type : type;
  } else {
    step_cancel(type);
  }
}

void unary_call::step_cancel(boost::asio::cancellation_type type) {
  using boost::asio::cancellation_type;
  if ((type & cancellation_type::terminal) != cancellation_type::none) {
    step(call_event::cancel{cancel_depth::terminal});
  } else if ((type & cancellation_type::partial) != cancellation_type::none) {
    step(call_event::cancel{cancel_depth::partial});
  } else if ((type & cancellation_type::total) != cancellation_type::none) {
    step(call_event::cancel{cancel_depth::total});
  }
}

void unary_call::step(decltype(call_event_at::what) what) {
  pump_.feed({loop_.now(), what}, [this](call_event_at const& event) {
    for (call_action_any const& action : machine_.step(event)) perform(action);
  });
}

void unary_call::perform(call_action_any const& action) {
  std::visit([this](auto const& one) { do_it(one); }, action);
}

void unary_call::on_begin(completion how) {
  if (how == completion::abandoned) return hand_over(how);
  client_->enter(*this);
  if (observer* const told = client_->told()) {
    told->on(events::call_started{.at = loop_.now(), .method = method_.path()});
  }
  loop_.arm(deadline_timer_, context_.deadline());
  if (client_->pool() != nullptr) client_->pool()->budget().deposit(loop_.now());
  if (hedged_) prepare_hedges();
  if (cancelled_early_) step_cancel(*cancelled_early_);
  if (context_.deadline() <= loop_.now()) step(call_event::deadline{});
  step(call_event::start{});
}

// ---- interceptors

chain_action unary_call::run_stage(hook stage) {
  context_.set_now(loop_.now());
  context_.set_attempts(machine_.attempts());
  hook_arguments arguments{.context = &context_};
  switch (stage) {
    case hook::start: break;
    case hook::send_message: arguments.payload = &payload_; break;
    case hook::initial_metadata: arguments.headers = last_back_->wire->headers; break;
    case hook::recv_message: arguments.payload = &response_; break;
    case hook::done: arguments.outcome = &result_; break;
  }
  return chain_.begin(stage, arguments);
}

void unary_call::do_it(call_action::run_start) {
  if (!legal_metadata_) return malformed(illegal_metadata());
  if (payload_.empty()) return malformed({status_code::internal, "the request could not be serialised", {}});
  if (config_ != nullptr && exceeds(payload_, config_->max_request_bytes)) {
    return malformed(oversized("Sent", payload_, *config_->max_request_bytes));
  }
  stage_ = hook::start;
  if (client_->params().interceptors.hooks().empty()) return step(call_event::start_passed{});
  after_start(run_stage(hook::start));
}

void unary_call::malformed(millrace::status&& why) {
  result_ = std::move(why);
  step(call_event::start_finished{call_end::malformed});
}

void unary_call::after_start(chain_action&& action) {
  for (;;) {
    switch (action.what) {
      case chain_action::kind::held: return bound_hold();
      case chain_action::kind::finished:
        result_ = std::move(*action.outcome);
        return step(call_event::start_finished{});
      case chain_action::kind::refused: return;  // a late resume of a call that has ended
      case chain_action::kind::passed: break;
    }
    if (stage_ == hook::send_message) break;
    if (context_.deadline() != deadline_timer_.due()) {
      loop_.arm(deadline_timer_, context_.deadline());
      machine_.shorten_deadline(context_.deadline());
    }
    stage_ = hook::send_message;
    if (!client_->params().interceptors.wants(hook::send_message)) break;
    action = run_stage(hook::send_message);
  }
  step(call_event::start_passed{});
}

// what bounds a hold is the deadline's timer, and a stopping loop waits for none, nor is there one after the deadline
void unary_call::bound_hold() noexcept {
  bool const too_late = machine_.state() == call_state::ending && loop_.now() >= context_.deadline();
  if (too_late || loop_.stopping()) revoke();
}

// from any thread, and perhaps from inside the hook that took the handle
void unary_call::resume(hook_result with) noexcept {
  resumed_ = std::move(with);
  loop_.inject(resume_);
}

void unary_call::on_resumed(completion how) {
  chain_action action = chain_.resume(std::move(*std::exchange(resumed_, std::nullopt)));
  if (delivered_) return free_if_over();
  if (machine_.ended()) return;  // on_complete is on its way, and frees
  if (how == completion::abandoned) return hand_over(how);
  if (machine_.state() == call_state::starting) {
    after_start(std::move(action));
  } else if (machine_.state() == call_state::ending && action.what != chain_action::kind::refused) {
    if (after_end_stage(std::move(action))) run_end_stages();
  }
}

void unary_call::do_it(call_action::abandon_hold action) {
  bool const held = chain_.where() == chain_machine::state::held;
  chain_.abandon();
  if (held && action.ending) {
    stage_ = hook::done;
    run_end_stages();
  }
}

// ---- the pool

void unary_call::do_it(call_action::queue) {
  pool* const from = client_->pool();
  if (from == nullptr) return refused(errc::pool_closed);
  waiter_.wait_for_ready = wait_for_ready_;
  if (!waiter_.hash && !client_->params().hash_header.empty()) waiter_.hash = header_hash();
  if (last_back_ != nullptr) waiter_.avoid_slot = last_back_->slot;
  error_code error;
  switch (from->acquire(waiter_, error)) {
    case pool::acquired::now: return step(call_event::admitted{});
    case pool::acquired::later: return;
    case pool::acquired::never: return refused(error);
  }
}

std::optional<std::uint64_t> unary_call::header_hash() const noexcept {
  return hash_key(headers_.find(client_->params().hash_header).value_or(std::string_view{})).hash();
}

void unary_call::refused(error_code error) {
  refusal_ = error;
  step(call_event::refused{.may_retry = error == make_error_code(errc::no_endpoint_ready)});
}

// a refusal may come from the pool's destructor, where nothing of the user's may run, interceptors included
void unary_call::on_served(error_code error) {
  if (!error) return step(call_event::admitted{});
  refusal_ = error;
  refused_ = true;
  interrupt_soon();
}

void unary_call::revoke() noexcept {
  revoked_ = true;
  interrupt_soon();
}

void unary_call::interrupt_soon() noexcept {
  if (!std::exchange(interrupt_queued_, true)) loop_.schedule(interrupt_);
}

void unary_call::on_interrupted(completion how) {
  interrupt_queued_ = false;
  if (how == completion::abandoned) {
    // whatever is still out frees the call
    do_it(call_action::cancel_attempts{});
    return give_up();
  }
  // first, because a refusal may lead to a retry, which asks the pool's budget, and a pool that revokes may be gone
  if (std::exchange(revoked_, false)) step(call_event::revoke{});
  if (std::exchange(refused_, false)) refused(refusal_);
}

void unary_call::do_it(call_action::leave_queue action) {
  if (client_->pool() == nullptr) return;
  errc const why = action.why == call_end::deadline ? errc::timed_out : errc::cancelled;
  client_->pool()->give_up(waiter_, why);
}

// ---- attempts

void unary_call::do_it(call_action::start_attempt) {
  first_.drop();
  start(first_);
}

void unary_call::start(leg& on) {
  time_point const now = loop_.now();
  duration const patience = machine_.policy().per_attempt_timeout;
  time_point deadline = context_.deadline();
  on.started = now;
  on.number = machine_.attempts();
  on.slot = on.right.slot_number();
  on.out = true;
  ++out_;
  waiter_.avoid_endpoint = on.right.endpoint_number();
  if (observer* const told = client_->told()) {
    told->on(events::attempt_started{.at = now,
                                     .method = method_.path(),
                                     .endpoint = on.right.endpoint(),
                                     .slot = on.slot,
                                     .number = on.number,
                                     .hedge = on.hedge});
  }
  if (patience > duration::zero() && saturating_add(now, patience) < deadline) {
    deadline = now + patience;
    on.end_at(deadline);
  }
  on.wire = client_->transport().start({.channel = on.right.channel(),
                                        .method = method_,
                                        .payload = payload_,
                                        .headers = headers_,
                                        .deadline = deadline,
                                        .previous_attempts = machine_.previous_attempts()},
                                       bound<void(completion)>::to<&leg::on_back>(on));
}

void leg::on_back(completion how) { call.on_back(*this, how); }

// one that lost to another was cut off before
void leg::on_revoke() noexcept {
  if (call.machine_.state() == call_state::attempting) call.revoke();
}

void leg::end_at(time_point at) noexcept {
  overdue = false;
  if (!time_up) time_up.emplace(bound<void()>::to<&leg::on_time_up>(*this));
  call.loop_.arm(*time_up, at);
}

void leg::on_time_up() noexcept {
  overdue = true;
  wire->cancel();
}

void unary_call::do_it(call_action::cancel_attempts) {
  for_each_leg([](leg& one) {
    if (one.out) one.wire->cancel();
  });
}

void unary_call::on_back(leg& from, completion how) {
  from.out = false;
  --out_;
  if (from.time_up) loop_.disarm(*from.time_up);
  if (how == completion::abandoned) {
    if (loop_.ending()) {
      from.right.release(status_code::cancelled);
      return give_up();
    }
    from.wire->result = {status_code::unavailable, "the loop is stopping", {}};
  }
  bool const late = from.wire->result.code != status_code::ok && timed_out(from);
  if (late) from.wire->result = {status_code::deadline_exceeded, "no answer within per_attempt_timeout", {}};
  attempt const& wire = *from.wire;
  if (observer* const told = client_->told()) {
    told->on(events::attempt_finished{.at = loop_.now(),
                                      .method = method_.path(),
                                      .endpoint = from.right.endpoint(),
                                      .slot = from.slot,
                                      .number = from.number,
                                      .code = wire.result.code,
                                      .message = wire.result.message,
                                      .elapsed = loop_.now() - from.started,
                                      .never_left = wire.never_left,
                                      .hedge = from.hedge});
  }
  bool const lost = machine_.state() != call_state::attempting;
  if (info_ != nullptr && !lost) info_->endpoint = from.right.endpoint();
  from.right.release(wire.result.code);
  if (wire.result.ok() && client_->throttle() != nullptr) client_->throttle()->record_success();
  if (lost) return free_if_over();
  if (hedger_ != nullptr && wire.result.ok() && !from.hedge) hedger_->record(loop_.now(), loop_.now() - from.started);
  last_back_ = &from;
  if (revoked_)
    step(call_event::revoke{});  // before the interrupt that brings it: the budget may be gone with the pool
  step(call_event::attempt_done{.code = wire.result.code,
                                .committed = wire.committed,
                                .never_left = wire.never_left,
                                .timed_out = late,
                                .trailers = &wire.trailers});
}

// the wire's own timer may win against ours by a moment
bool unary_call::timed_out(leg const& of) const noexcept {
  duration const patience = machine_.policy().per_attempt_timeout;
  if (patience == duration::zero()) return false;
  if (of.overdue) return of.wire->result.code == status_code::cancelled;
  time_point const due = saturating_add(of.started, patience);
  return of.wire->result.code == status_code::deadline_exceeded && due < context_.deadline() &&
         loop_.now() + std::chrono::milliseconds(5) >= due;
}

// ---- hedges

void unary_call::prepare_hedges() {
  hedger_ = client_->hedger_of(method_, config_);
  if (hedger_ == nullptr) return;
  hedger_->on_call(loop_.now());
  machine_.hedge_by(hedger_->sequential(), hedger_->delay(loop_.now()), hedger_->extra_load());
}

void unary_call::do_it(call_action::hedge action) {
  std::visit([this](auto const& one) { do_it(one); }, action.what);
}

void unary_call::do_it(hedge_action::arm action) { loop_.arm(wait_timer_, action.at); }

void unary_call::do_it(hedge_action::admit) {
  auto* const one = ::new (loop_.allocate(sizeof(leg))) leg(*this, true);
  one->next = std::exchange(hedges_, one);
  waiter wish(one->right, {});
  wish.avoid_slot = first_.slot;
  wish.avoid_endpoint = waiter_.avoid_endpoint;
  wish.hash = waiter_.hash;
  if (client_->pool() != nullptr && client_->pool()->try_acquire(wish)) return step(call_event::admitted{});
  free_last_hedge();
  step(call_event::refused{.may_retry = false});
}

void unary_call::do_it(hedge_action::start) { start(*hedges_); }

void unary_call::do_it(hedge_action::drop) { free_last_hedge(); }

void unary_call::free_last_hedge() noexcept {
  leg* const one = std::exchange(hedges_, hedges_->next);
  one->~leg();
  loop_.deallocate(one, sizeof(leg));
}

void unary_call::do_it(hedge_action::skip action) {
  if (observer* const told = client_->told()) {
    told->on(events::hedge_skipped{.at = loop_.now(), .method = method_.path(), .why = action.why});
  }
}

// the call has its outcome: nobody waits for them
void unary_call::call_off_losers() noexcept {
  loop_.disarm(wait_timer_);
  if (first_.out) hedger_->record(loop_.now(), loop_.now() - first_.started);
  do_it(call_action::cancel_attempts{});
}

// ---- between attempts

void unary_call::do_it(call_action::wait action) {
  if (observer* const told = client_->told()) {
    told->on(events::retry_scheduled{.at = loop_.now(),
                                     .method = method_.path(),
                                     .next_attempt = machine_.attempts() + 1,
                                     .code = last_code(),
                                     .delay = std::max(action.until - loop_.now(), duration::zero()),
                                     .transparent = action.transparent});
  }
  loop_.arm(wait_timer_, action.until);
}

void unary_call::do_it(call_action::stop_waiting) { loop_.disarm(wait_timer_); }

status_code unary_call::last_code() const noexcept {
  return last_back_ != nullptr ? last_back_->wire->result.code : status_code::unavailable;
}

// what is revoked asks for nothing more: its pool, and the budget, may be gone
void unary_call::on_wait_over() {
  if (machine_.state() == call_state::backing_off || !revoked_) step(call_event::elapsed{});
}

void unary_call::on_deadline() { step(call_event::deadline{}); }

void unary_call::tell_denied(retry_denial why) {
  if (observer* const told = client_->told()) {
    told->on(events::retry_denied{
        .at = loop_.now(), .method = method_.path(), .attempts = machine_.attempts(), .code = last_code(), .why = why});
  }
}

// ---- the end

void unary_call::do_it(call_action::end action) {
  bool const answered = action.why == call_end::attempt;
  if (action.no_retry) tell_denied(*action.no_retry);
  if (hedger_ != nullptr) call_off_losers();
  bool const has_result = action.why == call_end::intercepted || action.why == call_end::malformed;
  if (answered && last_back_->wire->result.ok()) {
    result_.code = status_code::ok;  // as nearly always: no strings to move
  } else if (!has_result) {
    result_ = status_of(action.why);
  }
  // the wire's own timer may win against ours by a moment
  bool const out_of_time = answered && result_.code == status_code::deadline_exceeded &&
                           loop_.now() + std::chrono::milliseconds(5) >= context_.deadline();
  fill_info(out_of_time ? call_end::deadline : action.why);
  if (answered) response_ = std::move(last_back_->wire->response);
  stage_ = answered ? hook::initial_metadata : hook::done;
  run_end_stages();
}

status unary_call::status_of(call_end why) {
  switch (why) {
    case call_end::attempt: return std::move(last_back_->wire->result);
    case call_end::intercepted:
    case call_end::malformed: return std::move(result_);
    case call_end::not_admitted:
    case call_end::deadline:
      if (context_.deadline() <= started_) return late_already();
      [[fallthrough]];
    case call_end::cancelled:
    case call_end::revoked: return impl::status_of(why, *client_, machine_.attempts(), refusal_);
  }
  return {status_code::internal, "no outcome", {}};
}

void unary_call::run_end_stages() {
  chain_ref const& chain = client_->params().interceptors;
  for (;;) {
    if (stage_ == hook::done) parse_response();
    bool const skip = stage_ == hook::recv_message && !result_.ok();
    if (chain.wants(stage_) && !skip && chain_.where() != chain_machine::state::fresh) {
      if (!after_end_stage(run_stage(stage_))) return;
    } else if (stage_ == hook::done) {
      return step(call_event::ended{});
    } else {
      stage_ = stage_ == hook::initial_metadata ? hook::recv_message : hook::done;
    }
  }
}

// before the interceptors that are told how the call ended, and again after one of them that says OK instead: without a
// response that was read there is no such end
void unary_call::parse_response() {
  if (parsed_ || !result_.ok()) return;
  if (config_ != nullptr && exceeds(response_, config_->max_response_bytes)) {
    result_ = oversized("Received", response_, *config_->max_response_bytes);
    return;
  }
  try {
    parsed_ = parse(std::move(response_), result_);
  } catch (std::exception const& error) {
    result_ = {status_code::internal, std::string("the response could not be read: ") + error.what(), {}};
  } catch (...) {
    result_ = {status_code::internal, "the response could not be read: something that is no std::exception", {}};
  }
  if (!parsed_ && info_ != nullptr) info_->origin = call_end::malformed;
}

// true when there is another stage to run
bool unary_call::after_end_stage(chain_action&& action) {
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

void unary_call::fill_info(call_end why) {
  if (info_ == nullptr) return;
  info_->origin = why;
  info_->attempts = machine_.attempts();
  if (last_back_ != nullptr) info_->slot = last_back_->slot;
  for (leg const* one = hedges_; one != nullptr; one = one->next) ++info_->hedges;
  info_->hedge_won = why == call_end::attempt && hedge_won();
  info_->elapsed = loop_.now() - started_;
  attempt const* const last = last_back_ != nullptr ? last_back_->wire : nullptr;
  info_->initial_metadata = last != nullptr ? kept(last->headers) : metadata_pairs{};
  info_->trailing_metadata = last != nullptr ? kept(last->trailers) : metadata_pairs{};
  info_->peer = last != nullptr ? last->peer() : std::string{};
}

void unary_call::do_it(call_action::complete) {
  loop_.disarm(deadline_timer_);
  if (observer* const told = client_->told()) {
    told->on(events::call_finished{.at = loop_.now(),
                                   .method = method_.path(),
                                   .code = result_.code,
                                   .elapsed = loop_.now() - started_,
                                   .attempts = machine_.attempts(),
                                   .hedge_won = hedge_won()});
  }
  static_cast<list_base<active_call_tag>*>(this)->unlink();
  loop_.schedule(complete_);
}

void unary_call::on_complete(completion how) { hand_over(how); }

void unary_call::hand_over(completion how) {
  delivered_ = true;
  deliver(how, out_ == 0 && !context_.handle_out());
}

// once the handler was called: whoever keeps the call has let go
void unary_call::free_if_over() {
  if (delivered_ && out_ == 0 && !context_.handle_out()) destroy();
}

// the loop is at its end, and something that was out is back: the last takes the call along
void unary_call::give_up() {
  if (out_ > 0 || interrupt_queued_) return;
  if (delivered_) return free_if_over();
  if (!machine_.ended()) hand_over(completion::abandoned);  // else its completion does
}

}  // namespace millrace
