// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/active_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/metrics/observer.hpp>

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
