// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/inplace_vector.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/health/serving_status.hpp>
#include <millrace/retry/backoff.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::health {

/// How a server is asked for its health (grpc.health.v1, gRFC A17).
struct watch_params {
  /// Whose health; empty is the server's as a whole.
  std::string service{};
  /// Ask again and again (Check) instead of listening (Watch): for servers and proxies that have no streams.
  bool use_check = false;
  /// A Watch without an answer by then is given up for Checks, until the next connection; more than 0. gRFC A17 waits for ever:
  /// `duration::max()`.
  duration initial_timeout = std::chrono::seconds(5);
  /// Between an answer to a Check and the next Check, ± 10 %; more than 0.
  duration check_interval = std::chrono::seconds(10);
  /// A Check without an answer by then has failed; more than 0.
  duration check_timeout = std::chrono::seconds(1);
  /// After a Watch or a Check that failed, the latter never more than `check_interval`. The defaults are gRPC's for reconnecting.
  retry::backoff_params backoff{
      .initial = std::chrono::seconds(1), .multiplier = 1.6, .max = std::chrono::seconds(120), .jitter = 0.2};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(watch_params const& params, std::string_view field_prefix);

/// What is known of a server's health from asking it.
enum class server_health : std::uint8_t {
  pending,          ///< It has not answered yet (CONNECTING in gRFC A17).
  serving,          ///< It says so.
  not_serving,      ///< It says so, or UNKNOWN.
  service_unknown,  ///< It has no such service.
  failing,          ///< It cannot be asked (TRANSIENT_FAILURE in gRFC A17).
  unsupported,      ///< It has no health service, and is taken for healthy.
};

std::string_view to_string(server_health value) noexcept;

/// Calls may go to a server of that health.
constexpr bool usable(server_health value) noexcept {
  return value == server_health::serving || value == server_health::unsupported;
}

enum class watch_state : std::uint8_t {
  stopped,      ///< There is no connection to ask on.
  opening,      ///< A Watch is out and has not been answered yet.
  watching,     ///< A Watch is out, and more may come.
  backing_off,  ///< The Watch ended; the next one waits for its time.
  checking,     ///< A Check is out.
  resting,      ///< The next Check waits for its time.
  exempt,       ///< The server has no health service: it is left alone until the next connection.
};

std::string_view to_string(watch_state value) noexcept;

namespace watch_event {

/// There is a connection. From `stopped`, nothing is known of it. From elsewhere, it takes the place of the one before, which goes
/// or has gone, and what is known stays until its first answer.
struct start {};
struct answered {
  serving_status status;
};
struct ended {
  status_code code;  ///< Of a Check never ok: that is `answered`.
  bool
      connected;  ///< Its connection is still ready. If not, that is connectivity's to tell, and says nothing about health.
};
struct elapsed {};  ///< The armed timer fell due.
struct stop {};     ///< The connection is gone: what is known of it is forgotten.

}  // namespace watch_event

struct watch_event_at {
  time_point now;
  std::variant<watch_event::start, watch_event::answered, watch_event::ended, watch_event::elapsed, watch_event::stop>
      what;
};

namespace watch_action {

struct open_watch {};
struct start_check {
  time_point until;  ///< For the server to know; the machine's own timer ends it.
};
struct cancel {};  ///< The Watch or Check that is out: nothing of it may come any more.
struct arm {
  time_point at;
};
struct disarm {};
struct publish {
  server_health health;
  std::string_view why;  ///< A literal.
  status_code code;      ///< What the Watch or Check ended with, if that is why; ok otherwise.
};

}  // namespace watch_action

using watch_action_any = std::variant<watch_action::open_watch, watch_action::start_check, watch_action::cancel,
                                      watch_action::arm, watch_action::disarm, watch_action::publish>;
using watch_actions = inplace_vector<watch_action_any, 5>;

/// Asks one server for its health and says what is known of it (gRFC A17). Until the first answer it is not to be used, nor while it
/// cannot be asked; a server without a health service is taken for healthy, which is published once a connection.
///
/// A Watch that ends after it was answered, on a connection that is still there, is opened again at once, but no sooner than `backoff.initial` after it was opened: a
/// server that answers and ends each time would otherwise be asked in a circle.
class watch_machine {
 public:
  /// Expects validated params, which outlive it as the generator does.
  watch_machine(watch_params const& params, rng& random) noexcept;

  /// Never calls out; the driver performs the actions in order. Publishes changes only.
  watch_actions step(watch_event_at const& event) noexcept;

  watch_state state() const noexcept { return state_; }

  /// What was published last; `pending` while stopped.
  server_health health() const noexcept { return health_; }

 private:
  watch_actions on(time_point now, watch_event::start) noexcept;
  watch_actions on(time_point now, watch_event::answered) noexcept;
  watch_actions on(time_point now, watch_event::ended) noexcept;
  watch_actions on(time_point now, watch_event::elapsed) noexcept;
  watch_actions on(time_point now, watch_event::stop) noexcept;

  void open(time_point now, watch_actions& actions) noexcept;
  void check(time_point now, watch_actions& actions) noexcept;
  void rest(time_point now, duration time, watch_actions& actions) noexcept;
  void rest_after_failure(time_point now, watch_actions& actions) noexcept;
  void let_go(watch_actions& actions) noexcept;
  void publish(server_health health, std::string_view why, watch_actions& actions,
               status_code code = status_code::ok) noexcept;
  void publish(serving_status status, watch_actions& actions) noexcept;

  watch_params const& params_;
  rng& random_;
  retry::backoff backoff_;
  watch_state state_ = watch_state::stopped;
  server_health health_ = server_health::pending;
  status_code code_ = status_code::ok;  // as published
  time_point opened_{};                 // the last Watch
};

}  // namespace millrace::health
