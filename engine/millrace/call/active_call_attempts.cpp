// SPDX-License-Identifier: Apache-2.0
// A call's attempts, one after the other or hedged: how they begin, are cut off, come back or do not, and what follows.
#include <millrace/call/active_call.hpp>

#include <millrace/call/impl/call_terms.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/pool/fewer_pings.hpp>

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

namespace millrace {

using namespace impl;

namespace {

status no_answer() { return {status_code::deadline_exceeded, "no answer within per_attempt_timeout", {}}; }

}  // namespace

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

}  // namespace millrace
