// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/active_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/pool/fewer_pings.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace millrace {

using namespace impl;

namespace {

bool is_idempotent(client_core const& client, method_config const* config, call_options const& options) noexcept {
  if (options.idempotent) return *options.idempotent;
  return config != nullptr && config->idempotent ? *config->idempotent : client.params().idempotent;
}

status no_answer() { return {status_code::deadline_exceeded, "no answer within per_attempt_timeout", {}}; }

duration default_timeout(client_params const& client, call_kind kind) noexcept {
  if (kind == call_kind::unary) return client.default_timeout;
  return client.default_stream_timeout > duration::zero() ? client.default_stream_timeout : duration::max();
}

}  // namespace

active_call::active_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message request,
                         call_options const& options)
    : client_(std::move(client)),
      loop_(client_->context()),
      own_method_(called.number() == method::no_number ? std::optional(called) : std::nullopt),
      method_(own_method_ ? *own_method_ : called),
      kind_(kind),
      config_(client_->config_of(called)),
      info_(options.info),
      own_policy_(kind != call_kind::unary && options.retry != nullptr
                      ? std::make_unique<retry::retry_policy const>(*options.retry)
                      : nullptr),
      outgoing_(std::move(request)),
      context_(method_.path(), headers_, *this),
      chain_(client_->params().interceptors),
      machine_(own_policy_ ? *own_policy_ : retry_of(*client_, config_, options), client_->budget(), loop_.random(),
               never, client_->throttle()),
      wait_for_ready_(waits_for_ready(config_, options)),
      own_retry_(options.retry != nullptr),
      hedged_(client_->hedges() && !own_retry_ && single_request() && is_idempotent(*client_, config_, options)),
      started_(loop_.running_in_this_thread() ? loop_.now() : loop_.events().now()),
      waiter_(first_.right, bound<void(error_code)>::to<&active_call::on_served>(*this)) {
  waiter_.hash = options.hash_key.hash();
  context_.set_started(started_);
  context_.set_deadline(deadline_of(started_, config_, options, default_timeout(client_->params(), kind)));
  machine_.shorten_deadline(context_.deadline());
  for (auto const& [key, value] : options.metadata) legal_metadata_ = headers_.try_add(key, value) && legal_metadata_;
}

active_call::~active_call() {
  while (more_ != nullptr) remove_last_leg();
}

void active_call::on_begin(completion how) {
  if (how == completion::abandoned) return give_up();
  client_->enter(*this);
  if (info_ != nullptr) *info_ = {};
  if (told() != nullptr) told()->on(events::call_started{.at = loop_.now(), .method = method_.path()});
  if (context_.deadline() != never) loop_.arm(deadline_timer_, context_.deadline());
  if (client_->pool() != nullptr) client_->pool()->budget().deposit(loop_.now());
  if (hedged_) prepare_hedges();
  if (cancelled_as_) step(call_event::cancel{*cancelled_as_});
  if (context_.deadline() <= loop_.now()) step(call_event::deadline{});
  step(call_event::start{});
}

// a second time means nothing, and would take up room in the pump, in which hooks may ask for it again and again
void active_call::cancel_as(cancel_depth depth) {
  if (cancelled_as_ && *cancelled_as_ >= depth) return;
  cancelled_as_ = depth;
  if (machine_.state() != call_state::fresh) step(call_event::cancel{depth});
}

void active_call::step(decltype(call_event_at::what) const& what) {
  pump_.feed({loop_.now(), what}, [this](call_event_at const& event) {
    for (call_action_any const& action : machine_.step(event)) {
      std::visit([this](auto const& one) { do_it(one); }, action);
    }
  });
}

// ---- interceptors

chain_action active_call::run_stage(hook stage) {
  context_.set_now(loop_.now());
  context_.set_attempts(machine_.attempts());
  hook_arguments arguments{.context = &context_};
  switch (stage) {
    case hook::start: break;
    case hook::send_message: arguments.payload = &outgoing_; break;
    case hook::initial_metadata: arguments.headers = shown()->headers; break;
    case hook::recv_message: arguments.payload = &incoming_; break;
    case hook::done: arguments.outcome = &result_; break;
  }
  return chain_.begin(stage, arguments);
}

void active_call::do_it(call_action::run_start) {
  if (!legal_metadata_) return malformed(illegal_metadata());
  if (own_retry_) {
    if (auto why = why_illegal(machine_.policy())) return malformed(std::move(*why));
  }
  if (single_request()) {
    if (outgoing_.empty()) return malformed({status_code::internal, "the request could not be serialised", {}});
    if (config_ != nullptr && exceeds(outgoing_, config_->max_request_bytes)) {
      return malformed(oversized("Sent", outgoing_, *config_->max_request_bytes));
    }
  }
  stage_ = hook::start;
  if (client_->params().interceptors.hooks().empty()) return step(call_event::start_passed{});
  after_start(run_stage(hook::start));
}

void active_call::malformed(millrace::status&& why) {
  own_end_ = call_end::malformed;
  result_ = std::move(why);
  step(call_event::start_finished{call_end::malformed});
}

void active_call::after_start(chain_action&& action) {
  for (;;) {
    switch (action.what) {
      case chain_action::kind::held: return bound_hold();
      case chain_action::kind::finished:
        own_end_ = call_end::intercepted;
        result_ = std::move(*action.outcome);
        return step(call_event::start_finished{});
      case chain_action::kind::refused: return;  // a late resume of a call that has ended
      case chain_action::kind::passed: break;
    }
    if (stage_ == hook::send_message) break;
    if (context_.deadline() != never && context_.deadline() != deadline_timer_.due()) {
      loop_.arm(deadline_timer_, context_.deadline());
      machine_.shorten_deadline(context_.deadline());
    }
    if (!single_request() || !client_->params().interceptors.wants(hook::send_message)) break;
    stage_ = hook::send_message;
    action = run_stage(hook::send_message);
  }
  step(call_event::start_passed{});
}

// what bounds a hold is the deadline's timer, and a stopping loop waits for none, nor is there one after the deadline
void active_call::bound_hold() noexcept {
  bool const too_late = machine_.state() == call_state::ending && loop_.now() >= context_.deadline();
  if (too_late || loop_.stopping()) revoke();
}

// from any thread, and perhaps from inside the hook that took the handle
void active_call::resume(hook_result with) noexcept {
  resumed_ = std::move(with);
  loop_.inject(resume_);
}

void active_call::on_resume(completion how) {
  if (how == completion::abandoned) chain_.abandon();  // no hook runs in the loop's destructor
  chain_action action = chain_.resume(std::move(*std::exchange(resumed_, std::nullopt)));
  if (how == completion::abandoned) return give_up();
  if (action.what != chain_action::kind::refused) {
    if (machine_.state() == call_state::starting) {
      after_start(std::move(action));
    } else {
      on_resumed(std::move(action));
    }
  }
  free_if_over();
}

void active_call::do_it(call_action::abandon_hold action) {
  bool const held = chain_.where() == chain_machine::state::held;
  chain_.abandon();
  if (held && action.ending) run_done();
}

// ---- the pool

void active_call::do_it(call_action::queue) {
  pool* const from = client_->pool();
  if (from == nullptr) return refused(errc::pool_closed);
  waiter_.wait_for_ready = wait_for_ready_;
  if (!waiter_.hash && !client_->params().hash_header.empty()) waiter_.hash = header_hash();
  if (last_back_ != nullptr) waiter_.avoid_slot = last_back_->slot;
  if (sequential_->out) {  // cut off, and gRPC has not given it back
    sequential_ = &add_leg(false);
    waiter_.wish_for(sequential_->right);
  }
  error_code error;
  switch (from->acquire(waiter_, error)) {
    case pool::acquired::now: step(call_event::admitted{}); break;
    case pool::acquired::later: break;
    case pool::acquired::never: return refused(error);
  }
  on_queued();
}

std::optional<std::uint64_t> active_call::header_hash() const noexcept {
  return hash_key(headers_.find(client_->params().hash_header).value_or(std::string_view{})).hash();
}

void active_call::refused(error_code error) {
  refusal_ = error;
  step(call_event::refused{.may_retry = error == make_error_code(errc::no_endpoint_ready)});
}

// a refusal may come from the pool's destructor, where nothing of the user's may run, interceptors included
void active_call::on_served(error_code error) {
  if (!error) return step(call_event::admitted{});
  refusal_ = error;
  refused_ = true;
  interrupt_soon();
}

void active_call::revoke() noexcept {
  revoked_ = true;
  interrupt_soon();
}

void active_call::interrupt_soon() noexcept {
  if (!std::exchange(interrupt_queued_, true)) loop_.schedule(interrupt_);
}

void active_call::on_interrupted(completion how) {
  interrupt_queued_ = false;
  if (how == completion::abandoned) {
    cut(nullptr);  // whatever is still out frees the call
    return give_up();
  }
  // first, because a refusal may lead to a retry, which asks the pool's budget, and a pool that revokes may be gone
  if (std::exchange(revoked_, false)) step(call_event::revoke{});
  if (std::exchange(refused_, false)) refused(refusal_);
  free_if_over();
}

void active_call::do_it(call_action::leave_queue action) {
  if (client_->pool() == nullptr) return;
  client_->pool()->give_up(waiter_, action.why == call_end::deadline ? errc::timed_out : errc::cancelled);
}

// ---- attempts

void active_call::do_it(call_action::start_attempt) {
  sequential_->drop();
  start(*sequential_);
}

leg& active_call::add_leg(bool hedge) {
  auto* const one = ::new (loop_.allocate(sizeof(leg))) leg(*this, hedge);
  one->next = std::exchange(more_, one);
  return *one;
}

void active_call::remove_last_leg() noexcept {
  leg* const one = std::exchange(more_, more_->next);
  one->~leg();
  loop_.deallocate(one, sizeof(leg));
}

void active_call::start(leg& on) {
  time_point const now = loop_.now();
  duration const patience = single_request() ? machine_.policy().per_attempt_timeout : duration::zero();
  time_point deadline = context_.deadline();
  on.started = now;
  on.number = machine_.attempts();
  on.slot = on.right.slot_number();
  on.out = true;
  on.overdue = on.evicted = on.heard = on.forsaken = false;
  ++out_;
  waiter_.avoid_endpoint = on.right.endpoint_number();
  if (told() != nullptr) {
    told()->on(events::attempt_started{.at = now,
                                       .method = method_.path(),
                                       .endpoint = on.right.endpoint(),
                                       .slot = on.slot,
                                       .number = on.number,
                                       .hedge = on.hedge});
  }
  if (patience > duration::zero() && saturating_add(now, patience) < deadline) {
    on.end_at(now + patience);
    if (kind_ == call_kind::unary) deadline = now + patience;  // a stream may go on for longer, once it has begun
  }
  open(on, deadline);
}

// one that lost to another was cut off before; others that are in flight elsewhere may still do better
void leg::on_revoke() noexcept {
  if (call.lost(*this) || overdue || evicted) return;
  if (!out || call.chosen_ != nullptr || !call.others_out(*this)) return call.revoke();
  evicted = true;
  cut_short();
}

void leg::end_at(time_point at) noexcept {
  if (!time_up) time_up.emplace(bound<void()>::to<&leg::on_time_up>(*this));
  call.loop_.arm(*time_up, at);
}

void leg::on_time_up() noexcept {
  if (call.lost(*this)) return;
  if (overdue || evicted) return call.go_on_without(*this);
  overdue = true;
  cut_short();
}

void leg::cut_short() noexcept {
  wire->cancel();
  end_at(saturating_add(call.loop_.now(), cut_grace));
}

void active_call::do_it(call_action::cancel_attempts action) {
  loop_.arm(wait_timer_, action.until);
  cut(nullptr);
  on_cut();
}

void active_call::cut(leg const* but) noexcept {
  if (first_.out && but != &first_) first_.wire->cancel();
  for (leg* one = more_; one != nullptr; one = one->next) {
    if (one->out && one != but) one->wire->cancel();
  }
}

bool active_call::others_out(leg const& but) const noexcept {
  auto const counts = [&](leg const& one) { return &one != &but && one.out && !one.evicted && !one.forsaken; };
  if (counts(first_)) return true;
  for (leg const* one = more_; one != nullptr; one = one->next) {
    if (counts(*one)) return true;
  }
  return false;
}

bool active_call::back(leg& from, completion how) {
  from.out = false;
  --out_;
  if (from.time_up) loop_.disarm(*from.time_up);
  if (how == completion::abandoned) {
    if (loop_.ending()) {
      from.right.release(status_code::cancelled);
      give_up();
      return false;
    }
    from.wire->result = {status_code::unavailable, "the loop is stopping", {}};
  }
  if (from.forsaken) return true;
  // of a call that has ended even its policy may be gone
  bool const counts = machine_.state() == call_state::attempting;
  bool const cut = from.overdue || from.evicted;
  bool const in_vain =
      cut && kind_ != call_kind::unary && from.wire->committed;  // its stream began after the cut, unheard
  status_code const code = from.wire->result.code;
  from.overdue = counts && (in_vain ? from.overdue : code != status_code::ok && timed_out(from));
  from.evicted = counts && from.evicted && (in_vain || code == status_code::cancelled);
  if (from.overdue) from.wire->result = no_answer();
  return true;
}

void active_call::tell_finished(leg const& one, status_code code, std::string_view message) noexcept {
  if (told() == nullptr) return;
  told()->on(events::attempt_finished{.at = loop_.now(),
                                      .method = method_.path(),
                                      .endpoint = one.right.endpoint(),
                                      .slot = one.slot,
                                      .number = one.number,
                                      .code = code,
                                      .message = message,
                                      .elapsed = loop_.now() - one.started,
                                      .never_left = !one.out && one.wire->never_left,
                                      .hedge = one.hedge});
}

void active_call::settle(leg& from) {
  attempt const& wire = *from.wire;
  if (!from.forsaken) tell_finished(from, wire.result.code, wire.result.message);
  bool const too_late = lost(from);
  if (info_ != nullptr && !too_late) info_->endpoint = from.right.endpoint();
  from.right.release(outcome_of(from, too_late));
  // its endpoint is not to blame, and was told of a cancellation
  if (from.evicted) from.wire->result = impl::status_of(call_end::revoked, *client_, machine_.attempts(), refusal_);
  if (wire.result.ok() && client_->throttle() != nullptr) client_->throttle()->record_success();
  if (too_late) {
    // the others may go on for long, and a stream shows its chosen one while there is a handle
    if (&from != chosen_) from.drop();
    return free_if_over();
  }
  bool const first_answer = wire.result.ok() && !from.hedge && chosen_ == nullptr;
  if (hedger_ != nullptr && first_answer) hedger_->record(loop_.now(), loop_.now() - from.started);
  bool const cut_off = from.overdue || from.evicted;
  if (cut_off) from.wire->committed = false;  // what came after the cut nobody has seen
  count(from, cut_off);
}

void active_call::count(leg& one, bool cut_off) {
  keep(&one);
  if (revoked_)
    step(call_event::revoke{});  // before the interrupt that brings it: the budget may be gone with the pool
  attempt const& wire = *one.wire;
  step(call_event::attempt_done{.code = wire.result.code,
                                .committed = wire.committed,
                                .never_left = wire.never_left,
                                .cut_off = cut_off,
                                .evicted = one.evicted,
                                .trailers = &wire.trailers});
}

// of those that are back one is kept, for the call's outcome; the one before may be out again
void active_call::keep(leg* one) noexcept {
  leg* const before = std::exchange(last_back_, one);
  if (before != nullptr && before != one && !before->out) before->drop();
}

// the wire's own timer may win against ours by a moment
bool active_call::timed_out(leg const& of) const noexcept {
  duration const patience = machine_.policy().per_attempt_timeout;
  if (patience == duration::zero()) return false;
  bool const wire_won = kind_ == call_kind::unary && of.wire->result.code == status_code::deadline_exceeded;
  if (of.overdue) return wire_won || of.wire->result.code == status_code::cancelled;
  time_point const due = saturating_add(of.started, patience);
  return wire_won && due < context_.deadline() && loop_.now() + std::chrono::milliseconds(5) >= due;
}

// what the pool is to learn of it. The deadline's timer cancels what is on the wire, unless the wire's own wins by a moment
call_outcome active_call::outcome_of(leg const& one, bool too_late) const noexcept {
  attempt const& wire = *one.wire;
  status_code const code = wire.result.code;
  if (wire.by_limit && !wire.result.ok())
    return status_code::cancelled;  // RESOURCE_EXHAUSTED would be taken for overload
  if (too_late) return {code, true};
  bool const cut_off = code == status_code::cancelled && loop_.now() >= context_.deadline();
  bool const wire_won =
      code == status_code::deadline_exceeded && loop_.now() + std::chrono::milliseconds(5) >= context_.deadline();
  bool const ours = one.overdue || cut_off || wire_won;
  // for how long a stream that has begun goes on is its caller's affair
  if (ours && one.heard) return status_code::cancelled;
  if (ours) return {status_code::deadline_exceeded, wire.committed && kind_ == call_kind::unary};
  call_outcome answered(code, true);
  answered.too_many_pings = !wire.result.ok() && blames_pings(wire.result.message);
  return answered;
}

// ---- what gRPC does not give back

// It was cut off with others, or others may follow, and is not back within cut_grace: it has failed for everybody but gRPC.
void active_call::go_on_without(leg& one) {
  if (info_ != nullptr) info_->endpoint = one.right.endpoint();
  one.wire->result =
      one.overdue ? no_answer() : impl::status_of(call_end::revoked, *client_, machine_.attempts(), refusal_);
  one.wire->committed = false;  // what came after the cut nobody has seen
  one.right.report(one.overdue && !one.heard ? status_code::deadline_exceeded : status_code::cancelled);
  forsake(one, one.overdue ? status_code::deadline_exceeded : status_code::cancelled);
  count(one, true);
}

// What is still out at the call's end. The pool learns how those went that did not lose, and has their streams back when gRPC is done.
void active_call::forsake(call_end why) noexcept {
  auto const one_out = [&](leg& one) {
    if (!one.out || one.forsaken) return;
    bool const in_vain = why == call_end::attempt || one.evicted || (chosen_ != nullptr && chosen_ != &one);
    bool const unanswered = !in_vain && !one.heard && (why == call_end::deadline || one.overdue);
    status_code const code = unanswered ? status_code::deadline_exceeded : status_code::cancelled;
    forsake(one, code);
    if (in_vain) return;
    one.right.report(code);
    if (info_ != nullptr) info_->endpoint = one.right.endpoint();
    keep(&one);
  };
  one_out(first_);
  for (leg* one = more_; one != nullptr; one = one->next) one_out(*one);
}

// gRPC gives it back when it likes: the observer may be gone by then
void active_call::forsake(leg& one, status_code as) noexcept {
  tell_finished(one, as, "cut off, and not back yet");
  one.forsaken = true;
}

// ---- hedges

void active_call::prepare_hedges() {
  hedger_ = client_->hedger_of(method_, config_);
  if (hedger_ == nullptr) return;
  hedger_->on_call(loop_.now());
  machine_.hedge_by(hedger_->sequential(), hedger_->delay(loop_.now()), hedger_->extra_load());
}

void active_call::do_it(call_action::hedge action) {
  std::visit([this](auto const& one) { do_it(one); }, action.what);
}

void active_call::do_it(hedge_action::arm action) { loop_.arm(wait_timer_, action.at); }

void active_call::do_it(hedge_action::admit) {
  waiter wish(add_leg(true).right, {});
  wish.avoid_slot = sequential_->slot;
  wish.avoid_endpoint = waiter_.avoid_endpoint;
  wish.hash = waiter_.hash;
  if (client_->pool() != nullptr && client_->pool()->try_acquire(wish)) return step(call_event::admitted{});
  remove_last_leg();
  step(call_event::refused{.may_retry = false});
}

void active_call::do_it(hedge_action::start) { start(*more_); }

void active_call::do_it(hedge_action::drop) { remove_last_leg(); }

void active_call::do_it(hedge_action::skip action) {
  if (told() == nullptr) return;
  told()->on(events::hedge_skipped{.at = loop_.now(), .method = method_.path(), .why = action.why});
}

// the machine need not know: whatever else fails is not told, and this one, being committed, ends the call
void active_call::choose(leg& one) noexcept {
  chosen_ = &one;
  keep(nullptr);
  record_first();
  if (!machine_.broken_off()) call_off(&one);
}

// nobody waits for the others any longer
void active_call::call_off(leg const* but) noexcept {
  loop_.disarm(wait_timer_);
  cut(but);
}

// it has begun to answer, or a hedge was faster
void active_call::record_first() noexcept {
  if (sequential_->out) hedger_->record(loop_.now(), loop_.now() - sequential_->started);
}

// ---- between attempts

void active_call::do_it(call_action::wait action) {
  on_lost();
  if (told() != nullptr) {
    told()->on(events::retry_scheduled{.at = loop_.now(),
                                       .method = method_.path(),
                                       .next_attempt = machine_.attempts() + 1,
                                       .code = last_code(),
                                       .delay = std::max(action.until - loop_.now(), duration::zero()),
                                       .transparent = action.transparent});
  }
  loop_.arm(wait_timer_, action.until);
}

void active_call::do_it(call_action::stop_waiting) { loop_.disarm(wait_timer_); }

status_code active_call::last_code() const noexcept {
  if (last_back_ == nullptr) return status_code::unavailable;
  if (!last_back_->forsaken) return last_back_->wire->result.code;
  return last_back_->overdue ? status_code::deadline_exceeded : status_code::unavailable;
}

// what is revoked asks for no hedge: its pool, and the budget, may be gone
void active_call::on_wait_over() {
  bool const may_hedge = machine_.state() == call_state::attempting && !machine_.broken_off();
  if (!may_hedge || !revoked_) step(call_event::elapsed{});
}

void active_call::tell_denied(retry_denial why) {
  if (told() == nullptr) return;
  told()->on(events::retry_denied{
      .at = loop_.now(), .method = method_.path(), .attempts = machine_.attempts(), .code = last_code(), .why = why});
}

// ---- the end

void active_call::do_it(call_action::end action) {
  if (action.no_retry) tell_denied(*action.no_retry);
  if (hedger_ != nullptr && chosen_ == nullptr) call_off(nullptr);
  if (wait_timer_.armed()) loop_.disarm(wait_timer_);
  if (out_ > 0) forsake(action.why);
  call_end const why = own_end_.value_or(action.why);
  bool const answered = why == call_end::attempt;
  if (answered && last_back_->wire->result.ok()) {
    result_.code = status_code::ok;  // as nearly always: no strings to move
  } else if (!own_end_) {
    result_ = status_of(why);
  }
  if (hedger_ != nullptr && chosen_ == nullptr && answered && hedge_won()) record_first();
  if (info_ != nullptr) {
    // the wire's own timer may win against ours by a moment
    bool const out_of_time = answered && result_.code == status_code::deadline_exceeded &&
                             loop_.now() + std::chrono::milliseconds(5) >= context_.deadline();
    fill_info(out_of_time ? call_end::deadline : why);
  }
  run_end(why);
}

status active_call::status_of(call_end why) {
  if (why == call_end::attempt) return std::move(last_back_->wire->result);
  bool const late = why == call_end::not_admitted || why == call_end::deadline;
  if (late && context_.deadline() <= started_) return late_already();
  return impl::status_of(why, *client_, machine_.attempts(), refusal_);
}

void active_call::fill_info(call_end why) {
  info_->origin = why;
  info_->attempts = machine_.attempts();
  if (last_back_ != nullptr) info_->slot = last_back_->slot;
  for (leg const* one = more_; one != nullptr; one = one->next) info_->hedges += one->hedge ? 1 : 0;
  info_->hedge_won = why == call_end::attempt && hedge_won();
  info_->elapsed = loop_.now() - started_;
  attempt const* const last = last_back_ != nullptr ? last_back_->wire : nullptr;
  info_->initial_metadata = last != nullptr ? kept(last->headers) : metadata_pairs{};
  info_->trailing_metadata = last != nullptr ? kept(last->trailers) : metadata_pairs{};
  info_->peer = last != nullptr ? last->peer() : std::string{};
}

void active_call::read_response() {
  if (incoming_.empty()) {
    result_ = {status_code::internal, "No message returned for unary request", {}};
  } else if (config_ != nullptr && exceeds(incoming_, config_->max_response_bytes)) {
    result_ = oversized("Received", incoming_, *config_->max_response_bytes);
  } else {
    parsed_ = parse_safely(result_, [&] { return parse(std::move(incoming_), result_); });
  }
  if (!parsed_ && info_ != nullptr) info_->origin = call_end::malformed;
}

void active_call::do_it(call_action::complete) {
  loop_.disarm(deadline_timer_);
  if (told() != nullptr) {
    told()->on(events::call_finished{.at = loop_.now(),
                                     .method = method_.path(),
                                     .code = result_.code,
                                     .elapsed = loop_.now() - started_,
                                     .attempts = machine_.attempts(),
                                     .hedge_won = hedge_won()});
  }
  leave_client();
  complete();
}

}  // namespace millrace
