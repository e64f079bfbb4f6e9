// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/active_call.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <memory>

namespace millrace {

/// One unary call. Message and handler types are a derived class's affair (unary_operation), so this is compiled once.
class unary_call : public active_call {
 public:
  unary_call(std::shared_ptr<client_core> client, method const& called, message request, call_options const& options)
      : active_call(std::move(client), called, call_kind::unary, std::move(request), options) {}

  /// Any thread. Queues the call's start on the loop.
  void begin() noexcept { submit(); }

  /// The loop's thread. Cancels as deep as `type` allows; see call_machine.
  void cancel(boost::asio::cancellation_type type) noexcept;

 protected:
  ~unary_call() = default;

  /// Its memory is the handler's affair, and must be back before that is called: it is not while an attempt is out, or an
  /// interceptor has the handle.
  void set_memory_first() noexcept { memory_first_ = true; }

  /// What the call ended with; for `deliver`.
  millrace::status& result() noexcept { return result_; }

 private:
  /// Takes handler and result, frees the call (`may_free`) and calls the handler unless `how` is abandoned. A call that an
  /// interceptor still has the handle of, or that has attempts out which a hedge made superfluous, is freed later, through `destroy`.
  virtual void deliver(completion how, bool may_free) = 0;
  virtual void destroy() noexcept = 0;

  void open(impl::leg& on, time_point deadline) override;
  void run_end(call_end why) override;
  void run_done() override;
  void on_resumed(chain_action&& action) override;
  void complete() override;
  void free_if_over() noexcept override;
  void give_up() override;

  void run_stages();
  bool after_stage(chain_action&& action);
  void hand_over(completion how);

  bool memory_first_ = false;
  bool waits_for_memory_ = false;  // before it calls the handler
  bool delivered_ = false;
  task<&unary_call::hand_over> complete_{*this};
};

}  // namespace millrace
