// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/base/metadata.hpp>
#include <millrace/call/call_machine.hpp>
#include <millrace/call/client_core.hpp>
#include <millrace/call/options.hpp>
#include <millrace/call/stream_attempt.hpp>
#include <millrace/call/stream_machine.hpp>
#include <millrace/call/stream_options.hpp>
#include <millrace/call/write_queue.hpp>
#include <millrace/intercept/call_context.hpp>
#include <millrace/intercept/chain_machine.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/pool/waiter.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace millrace {

/// Somebody who waits for a stream: its error is set, then it is scheduled.
class stream_waiter : public operation {
 public:
  using operation::operation;
  error_code error;

 protected:
  ~stream_waiter() = default;
};

/// Somebody who waits for a message.
class stream_reader : public stream_waiter {
 public:
  using parse_function = bool (*)(stream_reader& self, message&& from, status& why_not);

  stream_reader(function complete, parse_function parse) noexcept : stream_waiter(complete), parse_(parse) {}

  /// Reads the message that it waited for. False, and `why_not`, when it cannot be read.
  bool parse(message&& from, status& why_not) { return parse_(*this, std::move(from), why_not); }

 protected:
  ~stream_reader() = default;

 private:
  parse_function parse_;
};

/// Drives one stream: a call_machine leads it to a slot and through its attempts, a stream_machine orders its messages. Message and
/// handler types are derived classes' affair, so this is compiled once.
///
/// It frees itself when the call is over, the handle gone, and nothing of it is queued or held any more.
class stream_call : private hold_target, private stream_listener, private list_base<active_call_tag> {
 public:
  /// `payload` is a server stream's request; otherwise empty.
  stream_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message payload,
              call_options const& options, stream_options const& how);
  stream_call(stream_call const&) = delete;
  stream_call& operator=(stream_call const&) = delete;

  /// Any thread. Queues the call's start on the loop.
  void begin() noexcept;

  /// Any thread. The handle has gone: the call is cancelled, in the loop's next turn.
  void let_go() noexcept;

  /// Any thread. Cancels it in the loop's next turn.
  void revoke() noexcept;

  // the loop's thread

  void read(stream_reader& one);
  void write(stream_waiter& one, message&& payload);
  error_code writes_done();
  void finish(stream_waiter& one);
  void cancel();

  // these wait no longer

  void give_up_read() { feed(stream_event::unread{}); }
  void give_up_write() { feed(stream_event::unwrite{}); }

  /// For the finish: the outcome.
  millrace::status take_result() { return std::move(result_); }

  metadata_view initial_metadata() const noexcept { return attempt_ != nullptr ? attempt_->headers : metadata_view{}; }
  metadata_view trailing_metadata() const noexcept { return settled_ ? attempt_->trailers : metadata_view{}; }
  std::string peer() const { return attempt_ != nullptr ? attempt_->peer() : std::string(); }

  millrace::loop& context() noexcept { return loop_; }

 protected:
  ~stream_call();

 private:
  friend class client_core;
  template <class T, class Tag>
  friend class intrusive_list;

  /// Reads the answer to a client stream.
  virtual bool parse(message&& response, millrace::status& why_not) = 0;
  virtual void destroy() noexcept = 0;

  // messages

  void feed(stream_event_any const& what);
  void do_it(stream_action::pass_out);
  void do_it(stream_action::start_write action);
  void do_it(stream_action::start_close);
  void do_it(stream_action::drop_queue);
  void do_it(stream_action::start_read);
  void do_it(stream_action::pass_in);
  void do_it(stream_action::drop_message);
  void do_it(stream_action::end_write action);
  void do_it(stream_action::deliver);
  void do_it(stream_action::end_read action);
  void do_it(stream_action::end_finish);
  template <class Parse>
  bool parse_safely(millrace::status& why_not, Parse parse);
  std::optional<errc> refusal(stream_operation_kind what, operation const* like) const noexcept;
  void end_waiter(stream_waiter*& one, std::optional<errc> error);
  void watch_idleness();
  void on_read_idle();
  void on_write_idle();

  // the wire

  void on_headers() override;
  void on_got(message&& one) override;
  void on_wrote(bool ok) override;
  void on_over(completion how) override;
  void settle_attempt();
  void drop_attempt() noexcept;

  // the call

  void step(decltype(call_event_at::what) what);
  void do_it(call_action::run_start);
  void do_it(call_action::abandon_hold action);
  void do_it(call_action::queue);
  void do_it(call_action::leave_queue action);
  void do_it(call_action::start_attempt);
  void do_it(call_action::hedge);
  void do_it(call_action::cancel_attempts);
  void do_it(call_action::wait action);
  void do_it(call_action::stop_waiting);
  void do_it(call_action::end action);
  void do_it(call_action::complete);
  void cut_off(call_end why, millrace::status how);
  void malformed(millrace::status&& why);
  time_point limit_to(time_point deadline) noexcept;

  // interceptors

  chain_action run_hook(hook stage);
  void after_start(chain_action&& action);
  void run_stages();
  void run_stage(hook stage);
  void after_stage(chain_action&& action);
  void passed(hook stage);
  void run_done();
  void after_done(chain_action&& action);
  void parse_response();
  void bound_hold() noexcept;
  void resume(hook_result with) noexcept override;

  // the loop and the pool

  void on_begin(completion how);
  void on_let_go(completion how);
  void on_resumed(completion how);
  void on_interrupted(completion how);
  void on_free(completion how);
  void on_served(error_code error);
  void tell_denied(retry_denial why);
  void on_deadline() { step(call_event::deadline{}); }
  void on_backoff() { step(call_event::elapsed{}); }
  void refused(error_code error);
  void interrupt_soon() noexcept;
  void abandon();
  void free_if_over() noexcept;
  observer* told() const noexcept { return client_->told(); }

  std::shared_ptr<client_core> const client_;
  millrace::loop& loop_;
  method const& method_;
  call_kind const kind_;
  stream_options const how_;
  method_config const* const config_;  // null: nothing is set for the method
  message const payload_;
  metadata headers_;
  bool legal_metadata_ = true;
  bool const wait_for_ready_;
  call_info* const info_;
  time_point const started_;
  call_context context_;
  chain_machine chain_;
  call_machine call_;
  stream_machine stream_;
  event_pump<call_event_at> call_pump_;
  event_pump<stream_event_any> stream_pump_;

  write_queue queue_;
  message outgoing_;  // with the interceptors
  message arriving_;
  message incoming_;  // with the interceptors, or for whoever asks next
  stream_reader* reader_ = nullptr;
  stream_waiter* writer_ = nullptr;
  stream_waiter* finisher_ = nullptr;

  hook stage_ = hook::start;
  // what interceptors are still to see
  bool headers_wait_ = false;
  bool incoming_waits_ = false;
  bool outgoing_waits_ = false;
  std::optional<hook_result> resumed_;  // what one of them said, on its way to the loop

  permit permit_{bound<void()>::to<&stream_call::revoke>(*this)};
  waiter waiter_;
  stream_attempt* attempt_ = nullptr;
  time_point attempt_started_{};
  std::uint32_t last_slot_ = balance::nobody;
  bool over_ = false;     // nothing of the attempt is on the wire
  bool settled_ = false;  // and the call knows
  bool cut_ = false;      // it was cancelled

  struct own_end {
    call_end why;
    millrace::status how;
  };
  std::optional<own_end> own_end_;  // decided here, and not by the call_machine
  error_code refusal_;
  bool refused_ = false;  // by the pool, and not yet told to the machine
  bool revoked_ = false;  // likewise
  bool cancelled_early_ = false;
  bool done_begun_ = false;
  bool handle_gone_ = false;
  bool abandoned_ = false;  // the loop ended first
  bool interrupt_queued_ = false;
  bool free_queued_ = false;
  bool working_ = false;  // keeps the loop running
  millrace::status result_;

  timer deadline_timer_{bound<void()>::to<&stream_call::on_deadline>(*this)};
  timer backoff_timer_{bound<void()>::to<&stream_call::on_backoff>(*this)};
  timer read_idle_{bound<void()>::to<&stream_call::on_read_idle>(*this)};
  timer write_idle_{bound<void()>::to<&stream_call::on_write_idle>(*this)};
  task<&stream_call::on_begin> begin_{*this};
  task<&stream_call::on_let_go> let_go_{*this};
  task<&stream_call::on_resumed> resume_{*this};
  task<&stream_call::on_interrupted> interrupt_{*this};
  task<&stream_call::on_free> free_{*this};
};

}  // namespace millrace
