// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/call/active_call.hpp>
#include <millrace/call/stream_attempt.hpp>
#include <millrace/call/stream_machine.hpp>
#include <millrace/call/stream_options.hpp>
#include <millrace/call/write_queue.hpp>

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

/// One stream: a stream_machine orders its messages, in whichever attempt the call is in. Message and handler types are derived
/// classes' affair, so this is compiled once.
///
/// A server stream that is hedged belongs to the attempt whose response begins first; until then nothing is read.
///
/// It frees itself when the call is over, the handle gone, and nothing of it is queued or held any more.
class stream_call : public active_call {
 public:
  /// `request` is a server stream's; otherwise empty.
  stream_call(std::shared_ptr<client_core> client, method const& called, call_kind kind, message request,
              call_options const& options, stream_options const& how);

  /// Any thread. Queues the call's start on the loop.
  void begin() noexcept;

  /// Any thread. The handle has gone, and on the loop's thread its call_info with it: the call is cancelled, in the loop's next turn.
  void let_go() noexcept;

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

  metadata_view initial_metadata() const noexcept { return shown() != nullptr ? shown()->headers : metadata_view{}; }
  metadata_view trailing_metadata() const noexcept;
  std::string peer() const { return shown() != nullptr ? shown()->peer() : std::string(); }

 protected:
  ~stream_call() = default;

 private:
  friend class impl::leg;

  virtual void destroy() noexcept = 0;

  // messages

  void feed(stream_event_any const& what);
  void do_it(stream_action::pass_out);
  void do_it(stream_action::start_write action);
  void do_it(stream_action::start_close) { wire().half_close(); }
  void do_it(stream_action::drop_queue) { queue_.clear(); }
  void do_it(stream_action::start_read);
  void do_it(stream_action::pass_in);
  void do_it(stream_action::drop_message) { incoming_ = {}; }
  void do_it(stream_action::end_write action) { end_waiter(writer_, action.error); }
  void do_it(stream_action::deliver);
  void do_it(stream_action::end_read action);
  void do_it(stream_action::end_finish) { end_waiter(finisher_, {}); }
  std::optional<errc> refusal(stream_operation_kind what, operation const* like) const noexcept;
  void end_waiter(stream_waiter*& one, std::optional<errc> error);
  void watch_idleness();
  void on_read_idle();
  void on_write_idle();

  // the wire

  stream_attempt& wire() const noexcept { return static_cast<stream_attempt&>(*chosen_->wire); }
  void on_headers(impl::leg& from);
  void on_got(message&& one);
  void on_wrote(bool ok);
  void on_over(impl::leg& from);
  void settle_chosen();

  // the call

  void open(impl::leg& on, time_point deadline) override;
  void on_queued() override { run_stages(); }  // of what was written meanwhile
  void on_lost() override { feed(stream_event::lost{}); }
  void on_cut() override;
  void run_end(call_end why) override;
  void complete() override;
  void free_if_over() noexcept override;
  void give_up() override;
  void cut_off(call_end why, millrace::status how);

  // interceptors

  void run_stages();
  void begin_stage(hook stage);
  void after_stage(chain_action&& action);
  void passed(hook stage);
  void on_resumed(chain_action&& action) override;
  void run_done() override;
  void after_done(chain_action&& action);

  // the loop

  void on_let_go(completion how);
  void on_free(completion) { destroy(); }

  stream_options const how_;
  stream_machine stream_;
  event_pump<stream_event_any> stream_pump_;
  write_queue queue_;
  message arriving_;
  stream_reader* reader_ = nullptr;
  stream_waiter* writer_ = nullptr;
  stream_waiter* finisher_ = nullptr;

  // what interceptors are still to see
  bool headers_wait_ = false;
  bool incoming_waits_ = false;
  bool outgoing_waits_ = false;

  bool read_waits_ = false;  // until an attempt is chosen
  bool over_ = false;        // nothing of the chosen attempt is on the wire
  bool settled_ = false;     // and the call knows
  bool cut_ = false;         // it was cancelled
  bool done_begun_ = false;
  bool cancelled_ = false;  // by its user
  bool handle_gone_ = false;
  bool abandoned_ = false;  // the loop ended first
  bool free_queued_ = false;
  bool working_ = false;  // keeps the loop running

  timer read_idle_{bound<void()>::to<&stream_call::on_read_idle>(*this)};
  timer write_idle_{bound<void()>::to<&stream_call::on_write_idle>(*this)};
  task<&stream_call::on_let_go> let_go_{*this};
  task<&stream_call::on_free> free_{*this};
};

}  // namespace millrace
