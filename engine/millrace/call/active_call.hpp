// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/base/metadata.hpp>
#include <millrace/call/call_kind.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/call/client_core.hpp>
#include <millrace/call/impl/leg.hpp>
#include <millrace/call/options.hpp>
#include <millrace/intercept/call_context.hpp>
#include <millrace/intercept/chain_machine.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/pool/waiter.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// A call under way, of whatever kind: performs what its call_machine says with the pool, the interceptors' start, the loop's timers
/// and the observer. What goes over the wire, and what the interceptors see of it, is a derived class's affair.
class active_call : private hold_target, private list_base<active_call_tag> {
 public:
  /// `request` is what a unary call or a server stream sends; otherwise empty.
  active_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message request,
              call_options const& options);
  active_call(active_call const&) = delete;
  active_call& operator=(active_call const&) = delete;

  /// The pool or the loop ends: the call is to end too, in the loop's next turn.
  void revoke() noexcept;

  millrace::loop& context() noexcept { return loop_; }

 protected:
  ~active_call();

  /// Any thread. Queues the call's start on the loop.
  void submit() noexcept { loop_.submit(begin_); }

  // what a derived class does

  /// Starts an attempt: sets `on.wire`. Its completion leads to `back` and then `settle`.
  virtual void open(impl::leg& on, time_point deadline) = 0;
  /// The call wants a slot.
  virtual void on_queued() {}
  /// No attempt is in flight, and another will follow.
  virtual void on_lost() {}
  /// All attempts were cancelled.
  virtual void on_cut() {}
  /// `result_` and `info_` are there: shows them to the interceptors, then steps with `ended`.
  virtual void run_end(call_end why) = 0;
  /// The interceptor that holds the outcome is not waited for: goes on to `done`.
  virtual void run_done() = 0;
  /// An interceptor lets go of the call at a stage other than `start`.
  virtual void on_resumed(chain_action&& action) = 0;
  /// Reads the one response, before anybody is told that the call ended well. False, and `why_not`, when it cannot be read.
  virtual bool parse(message&& response, millrace::status& why_not) = 0;
  /// The outcome is final.
  virtual void complete() = 0;
  /// Something that kept the call in memory has let go.
  virtual void free_if_over() noexcept = 0;
  /// The loop is at its end, and something that was out is back: the last takes the call along, uncalled.
  virtual void give_up() = 0;

  // what it has to do it with

  bool single_request() const noexcept { return kind_ == call_kind::unary || kind_ == call_kind::server_stream; }
  bool single_response() const noexcept { return kind_ == call_kind::unary || kind_ == call_kind::client_stream; }

  void step(decltype(call_event_at::what) const& what);
  void cancel_as(cancel_depth depth);

  /// The attempt's completion is here. False: the loop is at its end, and so is the call.
  bool back(impl::leg& from, completion how);
  void settle(impl::leg& from);
  /// The call is no longer concerned with what becomes of it.
  bool lost(impl::leg const& one) const noexcept {
    return one.forsaken || machine_.state() != call_state::attempting || (chosen_ != nullptr && chosen_ != &one);
  }
  /// A hedged call is that attempt's from now on, whose response has begun: the others are cut off, and no hedge is sent.
  void choose(impl::leg& one) noexcept;

  chain_action run_stage(hook stage);
  void bound_hold() noexcept;
  bool wants(hook stage) const noexcept {
    return client_->params().interceptors.wants(stage) && chain_.where() != chain_machine::state::fresh;
  }
  /// Before the interceptors that are told how the call ended, and again after one of them that says OK instead: without a response
  /// that was read there is no such end.
  void parse_response() {
    if (single_response() && !parsed_ && result_.ok()) read_response();
  }
  template <class Parse>
  static bool parse_safely(millrace::status& why_not, Parse read);

  /// Its client counts it among the calls under way no longer.
  void leave_client() noexcept { unlink(); }
  bool interrupt_queued() const noexcept { return interrupt_queued_; }
  observer* told() const noexcept { return client_->told(); }

  /// What the call shows of the server's: the chosen attempt, or the last to end; null before either.
  attempt const* shown() const noexcept {
    impl::leg const* const one = chosen_ != nullptr ? chosen_ : last_back_;
    return one != nullptr ? one->wire : nullptr;
  }

  std::shared_ptr<client_core> const client_;
  millrace::loop& loop_;
  std::optional<method> const own_method_;  // one without a number may go before what is still on the wire does
  method const& method_;
  call_kind const kind_;
  method_config const* const config_;  // null: nothing is set for the method
  call_info* info_;
  std::unique_ptr<retry::retry_policy const> const own_policy_;  // a stream may outlive what its caller has
  metadata headers_;
  message outgoing_;  // the request, kept for further attempts; of a client's stream, the message with the interceptors
  message incoming_;  // with the interceptors, or for whoever asks next
  call_context context_;
  chain_machine chain_;
  call_machine machine_;
  hook stage_ = hook::start;
  std::uint8_t out_ = 0;             // legs whose completions are still to come
  std::optional<call_end> own_end_;  // decided here with this `result_`, and not by the machine
  millrace::status result_;
  hedger* hedger_ = nullptr;  // null: not hedged
  impl::leg first_{*this, false};
  impl::leg* sequential_ = &first_;  // for the attempt that is made when no other is in flight
  impl::leg* last_back_ = nullptr;   // the leg whose attempt ended last, until the call's outcome is known
  impl::leg* chosen_ = nullptr;      // the only one that counts; null: all do

 private:
  friend class client_core;
  friend class impl::leg;
  template <class T, class Tag>
  friend class intrusive_list;

  void do_it(call_action::run_start);
  void do_it(call_action::abandon_hold action);
  void do_it(call_action::queue);
  void do_it(call_action::leave_queue action);
  void do_it(call_action::start_attempt);
  void do_it(call_action::hedge action);
  void do_it(hedge_action::arm action);
  void do_it(hedge_action::admit);
  void do_it(hedge_action::start);
  void do_it(hedge_action::drop);
  void do_it(hedge_action::skip action);
  void do_it(call_action::cancel_attempts action);
  void do_it(call_action::wait action);
  void do_it(call_action::stop_waiting);
  void do_it(call_action::end action);
  void do_it(call_action::complete);

  void on_begin(completion how);
  void after_start(chain_action&& action);
  void malformed(millrace::status&& why);
  std::optional<std::uint64_t> header_hash() const noexcept;
  void refused(error_code error);
  void on_served(error_code error);
  void interrupt_soon() noexcept;
  void on_interrupted(completion how);
  void resume(hook_result with) noexcept override;
  void on_resume(completion how);
  void start(impl::leg& on);
  bool timed_out(impl::leg const& of) const noexcept;
  call_outcome outcome_of(impl::leg const& one, bool too_late) const noexcept;
  void count(impl::leg& one, bool cut_off);
  void go_on_without(impl::leg& one);
  void forsake(call_end why) noexcept;
  void forsake(impl::leg& one, status_code as) noexcept;
  void tell_finished(impl::leg const& one, status_code code, std::string_view message) noexcept;
  impl::leg& add_leg(bool hedge);
  void remove_last_leg() noexcept;
  void prepare_hedges();
  bool others_out(impl::leg const& but) const noexcept;
  void cut(impl::leg const* but) noexcept;
  void call_off(impl::leg const* but) noexcept;
  void keep(impl::leg* one) noexcept;
  void record_first() noexcept;
  bool hedge_won() const noexcept { return last_back_ != nullptr && last_back_->hedge && result_.ok(); }
  status_code last_code() const noexcept;
  void on_wait_over();
  void on_deadline() { step(call_event::deadline{}); }
  void tell_denied(retry_denial why);
  void fill_info(call_end why);
  void read_response();
  millrace::status status_of(call_end why);
  time_point limit_to(time_point deadline) noexcept;

  bool legal_metadata_ = true;
  bool refused_ = false;  // by the pool, and not yet told to the machine
  bool revoked_ = false;  // likewise
  bool const wait_for_ready_;
  bool const own_retry_;  // the call brings its policy, which nobody has looked at
  bool const hedged_;     // if there is a policy for it
  bool parsed_ = false;
  bool interrupt_queued_ = false;
  time_point const started_;
  event_pump<call_event_at> pump_;
  impl::leg* more_ = nullptr;  // legs in blocks of their own, the last one made first
  waiter waiter_;
  error_code refusal_;
  std::optional<hook_result> resumed_;  // what an interceptor said, on its way to the loop
  std::optional<cancel_depth> cancelled_as_;
  timer deadline_timer_{bound<void()>::to<&active_call::on_deadline>(*this)};
  timer wait_timer_{bound<void()>::to<&active_call::on_wait_over>(*this)};  // backoff, next hedge, the call's cut_grace
  task<&active_call::on_begin> begin_{*this};
  task<&active_call::on_resume> resume_{*this};
  task<&active_call::on_interrupted> interrupt_{*this};
};

template <class Parse>
bool active_call::parse_safely(millrace::status& why_not, Parse read) {
  try {
    return read();
  } catch (std::exception const& error) {
    why_not = {status_code::internal, std::string("the response could not be read: ") + error.what(), {}};
  } catch (...) {
    why_not = {status_code::internal, "the response could not be read: something that is no std::exception", {}};
  }
  return false;
}

}  // namespace millrace
