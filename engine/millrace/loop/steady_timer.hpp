// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/handler.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>

#include <cstddef>

namespace millrace {

struct timer_wait_tag;

/// A wait on a steady_timer that is under way.
class timer_wait : public operation, private list_base<timer_wait_tag> {
 public:
  using operation::operation;

  boost::system::error_code result;

 protected:
  ~timer_wait() = default;

 private:
  friend class steady_timer;
  template <class T, class Tag>
  friend class intrusive_list;
};

/// asio::steady_timer's interface over the loop's own timers, without the background thread that Asio's timer starts on a
/// context that is no io_context.
///
/// Accuracy: the port's (see cq_port). Thread: the loop's. Cancellation: any type ends a wait with
/// `asio::error::operation_aborted`, and so do `cancel`, a new expiry, the timer's destruction and `loop::stop`.
class steady_timer : private stop_listener {
 public:
  using executor_type = loop::executor_type;
  using clock_type = millrace::clock;
  using duration = millrace::duration;
  using time_point = millrace::time_point;

  explicit steady_timer(loop& on) noexcept : loop_(on) { loop_.add(*this); }
  steady_timer(loop& on, duration after) noexcept : steady_timer(on) { expires_after(after); }
  steady_timer(loop& on, time_point at) noexcept : steady_timer(on) { expires_at(at); }
  ~steady_timer() { cancel(); }

  executor_type get_executor() noexcept { return loop_.get_executor(); }
  time_point expiry() const noexcept { return expiry_; }

  /// Sets the expiry and ends the waits under way. Returns how many it ended.
  std::size_t expires_at(time_point at) noexcept;
  std::size_t expires_after(duration after) noexcept { return expires_at(saturating_add(loop_.events().now(), after)); }

  /// Ends the waits under way. Returns how many.
  std::size_t cancel() noexcept { return end_waits(boost::asio::error::operation_aborted); }

  /// Completes with no error at the expiry; at once if it has passed. Signature `void(boost::system::error_code)`.
  template <class Token>
  auto async_wait(Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        [this](auto handler) { start_wait(std::move(handler)); }, token);
  }

 private:
  template <class Handler>
  class wait_for;

  template <class Handler>
  void start_wait(Handler handler) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto* const wait = new_operation<wait_for<Handler>>(loop_, handler, loop_, std::move(handler));
    if (slot.is_connected()) {
      slot.assign([this, wait](boost::asio::cancellation_type) { end_wait(*wait, boost::asio::error::operation_aborted); });
    }
    enlist(*wait);
  }

  void enlist(timer_wait& wait) noexcept;
  void end_wait(timer_wait& wait, boost::system::error_code result) noexcept;
  std::size_t end_waits(boost::system::error_code result) noexcept;
  void on_due() { end_waits({}); }
  void on_stop() noexcept override { cancel(); }

  loop& loop_;
  time_point expiry_{};
  intrusive_list<timer_wait, timer_wait_tag> waits_;
  timer timer_{bound<void()>::to<&steady_timer::on_due>(*this)};
};

template <class Handler>
class steady_timer::wait_for final : public timer_wait {
 public:
  wait_for(loop& on, Handler&& handler) : timer_wait(&wait_for::run), handler_(on, std::move(handler)) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<wait_for&>(self);
    if (auto slot = op.handler_.cancellation_slot(); slot.is_connected()) slot.clear();
    auto handler = std::move(op.handler_);
    boost::system::error_code const result = op.result;
    handler.destroy(&op);
    if (how != completion::abandoned) std::move(handler)(result);
  }

  completion_handler<Handler> handler_;
};

}  // namespace millrace
