// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/sim/call_record.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace millrace {
class pool;
}

namespace millrace::sim {

/// Watches a simulated engine for what must always hold. Hears the pool's and the client's events, sits in the client's
/// chain, and looks at the rest once a turn.
///
/// - a slot's changes follow on each other, and nothing leaves `closed`; a call goes to slots that are ready, and to no other;
/// - the ready count that the pool publishes is the number of slots that are ready, and no slot carries more than it may;
/// - every tag that is out is one that the simulation knows, and at most one dial of a pool is in flight to an endpoint;
/// - a call finishes once, and by its deadline, or cut_grace after it at most when an attempt is stuck; `on_done` runs once for
///   each `on_start`, and neither runs, nor any handler, inside an initiating function or the pool's destructor;
/// - there is no attempt beyond the first without a retry or a hedge, and no more of those than the budget's bound (see
///   retry::budget);
/// - no call goes to an endpoint that is ejected, or says that it does not serve, but in a panic; nor, where one endpoint of each
///   priority is enough, to another one than those that were chosen last;
/// - a drain ends within its grace, a second for what was cut off, and one watch slice, and none ends that was not begun.
class invariants final : public observer, public interceptor {
 public:
  invariants(net& in, retry::budget_params budget, duration watch_slice);

  /// The first breach, in words; empty while all is well.
  std::string const& breach() const noexcept { return breach_; }

  /// Once a turn. `of` is null when the pool is gone.
  void check(pool* of);

  /// When nothing is under way any more: nothing may be left over.
  void check_over();

  void on_called(call_record const& one);
  void on_finished(call_record const& one);
  std::size_t open_calls() const noexcept { return open_.size(); }

  /// While it lives, no handler and no hook may run.
  class quiet_scope {
   public:
    quiet_scope(invariants& of, char const* where) noexcept : of_(of), before_(std::exchange(of.quiet_, where)) {}
    quiet_scope(quiet_scope const&) = delete;
    quiet_scope& operator=(quiet_scope const&) = delete;
    ~quiet_scope() { of_.quiet_ = before_; }

   private:
    invariants& of_;
    char const* before_;
  };

  /// The pool went away or was stopped: its drain reports no more.
  void forget_drain() noexcept { drain_due_.reset(); }

  // the rest is for the engine to call

  hook_set hooks() const noexcept override { return {hook::start, hook::done}; }
  hook_result on_start(call_context& context) override;
  hook_result on_done(call_context& context, status const& outcome) override;

  using observer::on;
  void on(events::slot_changed const& event) noexcept override;
  void on(events::health_changed const& event) noexcept override;
  void on(events::panic_changed const& event) noexcept override { panicking_ = event.panicking; }
  void on(events::endpoint_chosen const& event) noexcept override { chosen_[event.priority] = event.endpoint; }
  void on(events::picked const& event) noexcept override;
  void on(events::call_started const& event) noexcept override;
  void on(events::attempt_started const& event) noexcept override;
  void on(events::retry_scheduled const& event) noexcept override;
  void on(events::drain_started const& event) noexcept override;
  void on(events::drain_finished const& event) noexcept override;

 private:
  void broken(std::string what);
  bool is_late(time_point deadline) const noexcept;
  void check_pool(pool& of);
  void check_budget(time_point now);

  net& net_;
  retry::budget_params const budget_;
  duration const watch_slice_;
  std::string breach_;
  char const* quiet_ = nullptr;

  std::vector<slot_state> slots_;
  std::uint32_t ready_ = 0;
  bool slots_changed_ = false;
  std::set<std::string, std::less<>> unhealthy_;  // endpoints
  std::map<std::uint32_t, std::string> chosen_;   // by priority; none where all are dialed
  bool panicking_ = false;

  std::set<std::pair<time_point, std::uint32_t>> open_;  // calls by deadline
  std::set<void const*> started_;                        // contexts whose on_start ran and whose on_done did not
  std::deque<time_point> calls_;
  std::deque<time_point> retries_;
  std::uint64_t retries_scheduled_ = 0;
  std::uint64_t extra_attempts_ = 0;
  std::optional<time_point> drain_due_;
};

}  // namespace millrace::sim
