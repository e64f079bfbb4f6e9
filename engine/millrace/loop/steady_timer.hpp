// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/wait.hpp>

#include <boost/asio/error.hpp>

#include <cstddef>

namespace millrace {

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
    return async_wait_in<wait>(
        loop_, std::forward<Token>(token), [this](wait& one) { enlist(one); },
        [this](wait& one) { end_wait(one, boost::asio::error::operation_aborted); });
  }

 private:
  void enlist(wait& one) noexcept;
  void end_wait(wait& one, boost::system::error_code result) noexcept;
  std::size_t end_waits(boost::system::error_code result) noexcept;
  void on_due() { end_waits({}); }
  void on_stop() noexcept override { cancel(); }

  loop& loop_;
  time_point expiry_{};
  wait_list waits_;
  timer timer_{bound<void()>::to<&steady_timer::on_due>(*this)};
};

}  // namespace millrace
