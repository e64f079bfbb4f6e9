// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/base/metadata.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/call/client_core.hpp>
#include <millrace/call/impl/leg.hpp>
#include <millrace/call/options.hpp>
#include <millrace/intercept/call_context.hpp>
#include <millrace/intercept/chain_machine.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/pool/waiter.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace millrace {

/// Drives one unary call: performs what its call_machine says with the pool, the transport, the interceptors and the loop's
/// timers. Message and handler types are a derived class's affair (unary_operation), so this is compiled once.
class unary_call : private hold_target, private list_base<active_call_tag> {
 public:
  unary_call(std::shared_ptr<client_core> client, method const& called, message payload, call_options const& options);
  unary_call(unary_call const&) = delete;
  unary_call& operator=(unary_call const&) = delete;

  /// Any thread. Queues the call's start on the loop.
  void begin() noexcept;

  /// The loop's thread. Cancels as deep as `type` allows; see call_machine.
  void cancel(boost::asio::cancellation_type type) noexcept;

  /// The pool or the loop ends: the call is to end too, in the loop's next turn.
  void revoke() noexcept;

 protected:
  ~unary_call();

  millrace::loop& context() noexcept { return loop_; }

  /// What the call ended with; for `deliver`.
  millrace::status& result() noexcept { return result_; }

 private:
  friend class client_core;
  friend class impl::leg;
  template <class T, class Tag>
  friend class intrusive_list;

  /// Reads the response of a call that ended well, before anybody is told that it did. False, and `why_not`, when it cannot be
  /// read.
  virtual bool parse(message&& response, millrace::status& why_not) = 0;

  /// Takes handler and result, frees the call (`may_free`) and calls the handler unless `how` is abandoned. A call that an
  /// interceptor still has the handle of, or that has attempts out which a hedge made superfluous, is freed later, through `destroy`.
  virtual void deliver(completion how, bool may_free) = 0;
  virtual void destroy() noexcept = 0;

  void step(decltype(call_event_at::what) what);
  void step_cancel(boost::asio::cancellation_type type);
  void perform(call_action_any const& action);
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
  void do_it(call_action::cancel_attempts);
  void do_it(call_action::wait action);
  void do_it(call_action::stop_waiting);
  void do_it(call_action::end action);
  void do_it(call_action::complete);

  void on_begin(completion how);
  std::optional<std::uint64_t> header_hash() const noexcept;
  void refused(error_code error);
  void on_served(error_code error);
  void interrupt_soon() noexcept;
  void on_interrupted(completion how);
  void start(impl::leg& on);
  void on_back(impl::leg& from, completion how);
  bool timed_out(impl::leg const& of) const noexcept;
  void prepare_hedges();
  void call_off_losers() noexcept;
  void free_last_hedge() noexcept;
  bool hedge_won() const noexcept { return last_back_ != nullptr && last_back_->hedge && result_.ok(); }
  status_code last_code() const noexcept;
  template <class Visit>
  void for_each_leg(Visit visit) {
    visit(first_);
    for (impl::leg* one = hedges_; one != nullptr; one = one->next) visit(*one);
  }
  void on_wait_over();
  void on_deadline();
  void on_resumed(completion how);
  void on_complete(completion how);
  void hand_over(completion how);
  void free_if_over();
  void give_up();
  void resume(hook_result with) noexcept override;

  chain_action run_stage(hook stage);
  void after_start(chain_action&& action);
  void bound_hold() noexcept;
  void run_end_stages();
  void parse_response();
  void malformed(millrace::status&& why);
  bool after_end_stage(chain_action&& action);
  millrace::status status_of(call_end why);
  void tell_denied(retry_denial why);
  void fill_info(call_end why);
  time_point limit_to(time_point deadline) noexcept;

  std::shared_ptr<client_core> const client_;
  millrace::loop& loop_;
  method const& method_;
  method_config const* const config_;  // null: nothing is set for the method
  message const payload_;
  metadata headers_;
  bool legal_metadata_ = true;
  bool delivered_ = false;
  bool parsed_ = false;   // the response; an OK call has one
  bool refused_ = false;  // by the pool, and not yet told to the machine
  bool revoked_ = false;  // likewise
  bool interrupt_queued_ = false;
  bool wait_for_ready_;
  bool const hedged_;     // if there is a policy for it
  std::uint8_t out_ = 0;  // legs whose tags are still to come
  call_info* const info_;
  time_point const started_;
  call_context context_;
  chain_machine chain_;
  call_machine machine_;
  event_pump<call_event_at> pump_;
  hedger* hedger_ = nullptr;  // null: not hedged
  impl::leg first_{*this, false};
  impl::leg* hedges_ = nullptr;     // those sent, the last one first
  impl::leg* last_back_ = nullptr;  // the leg whose attempt ended last, until the call's outcome is known
  waiter waiter_;
  hook stage_ = hook::initial_metadata;
  error_code refusal_;
  millrace::status result_;
  message response_;
  std::optional<hook_result> resumed_;  // what an interceptor said, on its way to the loop
  std::optional<boost::asio::cancellation_type> cancelled_early_;
  timer deadline_timer_{bound<void()>::to<&unary_call::on_deadline>(*this)};
  timer wait_timer_{bound<void()>::to<&unary_call::on_wait_over>(*this)};  // a backoff, or until the next hedge
  task<&unary_call::on_begin> begin_{*this};
  task<&unary_call::on_resumed> resume_{*this};
  task<&unary_call::on_interrupted> interrupt_{*this};
  task<&unary_call::on_complete> complete_{*this};
};

}  // namespace millrace
