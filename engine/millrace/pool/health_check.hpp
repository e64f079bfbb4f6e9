// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/health/watch_machine.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/pool/channel.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/time/timer.hpp>

#include <string>
#include <string_view>

namespace millrace {

/// Asks one endpoint for its health, on one of its connections at a time: drives a watch_machine.
///
/// Thread: the loop's. Destroying it ends the question; what gRPC still holds comes back to nobody.
class health_check final : private health_listener, private stop_listener {
 public:
  /// Told what is now known, and why, for people. Called from inside `start`, and then from the loop; not from `stop`. It must neither
  /// destroy the health_check nor start or stop it.
  using listener = bound<void(health::server_health, std::string_view why)>;

  /// Expects validated params, which outlive it, as does `charged`: each question is charged to it, and none refused.
  health_check(loop& on, health::watch_params const& params, retry::budget& charged, listener tell);
  health_check(health_check const&) = delete;
  health_check& operator=(health_check const&) = delete;
  ~health_check() { stop(); }

  /// Asks on this connection, which is ready, until `stop` or the next `start`. After a `stop` nothing is known until the first answer
  /// (`pending`). While it asks on another one, whose slot goes, what is known stays until the new one answers.
  void start(channel& on);

  /// To be called before its channel is given back, when no other connection can take over. What is known is forgotten, without telling.
  void stop() noexcept;

  /// The connection it asks on; null while stopped.
  channel* asks() const noexcept { return channel_; }

  health::server_health health() const noexcept { return machine_.health(); }
  health::watch_state state() const noexcept { return machine_.state(); }

 private:
  void on_answered(health::serving_status status) override;
  void on_ended(status const& why) override;
  void on_stop() noexcept override { stop(); }
  void on_timer() { step(health::watch_event::elapsed{}); }

  void step(decltype(health::watch_event_at::what) what);
  void ask(bool watch, time_point until);
  void do_it(health::watch_action::open_watch);
  void do_it(health::watch_action::start_check action);
  void do_it(health::watch_action::cancel);
  void do_it(health::watch_action::arm action);
  void do_it(health::watch_action::disarm);
  void do_it(health::watch_action::publish action);

  loop& loop_;
  health::watch_params const& params_;
  retry::budget& charged_;
  listener tell_;
  health::watch_machine machine_;
  event_pump<health::watch_event_at> pump_;
  channel* channel_ = nullptr;
  health_call* call_ = nullptr;
  std::string last_words_;  // the message that the last question ended with
  timer timer_{bound<void()>::to<&health_check::on_timer>(*this)};
};

}  // namespace millrace
