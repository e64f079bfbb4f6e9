// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/failover.hpp>
#include <millrace/balance/slow_start.hpp>
#include <millrace/pool/roster.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace millrace {

struct selection_params {
  double panic_threshold;
  balance::failover_params failover;
  balance::slow_start_params slow_start;
};

/// Which of a pool's ready slots calls may go to, and the pick among them.
///
/// Of the endpoints that are connected, those that are usable, of the priority in use; all of those that are connected while less
/// than `panic_threshold` of them is usable (panic), once no other is left to be tried. Weights are the endpoints' own, less while an endpoint starts slowly.
/// Policies see the outcome and know nothing of why.
class selection {
 public:
  selection(balance::any_picker picker, selection_params const& params)
      : picker_(std::move(picker)), params_(params), failover_(params.failover) {}

  /// Chooses anew. Returns when to do so again although nothing changes in between.
  time_point rebuild(time_point now, roster const& endpoints, std::span<std::unique_ptr<slot> const> slots);

  balance::dialing dials() const noexcept { return picker_.dials(); }

  std::span<slot* const> chosen() const noexcept { return chosen_; }

  /// Of each slot of an endpoint.
  double weight_of(roster_entry const& at, time_point now) const noexcept;

  bool panicking() const noexcept { return panicking_; }
  std::uint32_t priority() const noexcept { return priority_; }

  /// Endpoints of that priority that are connected, and those of them that are usable.
  std::uint32_t connected() const noexcept { return connected_; }
  std::uint32_t usable() const noexcept { return usable_; }

  /// Calls go nowhere, and will soon go to a level that is usable already.
  bool about_to_fail_over() const noexcept {
    return chosen_.empty() && std::ranges::any_of(availability_, &balance::failover_level::usable);
  }

  /// An index into `chosen`; none when it is empty.
  std::optional<std::size_t> pick(balance::pick_info const& info) noexcept { return picker_.pick(info); }
  void on_done(balance::done_info const& done) noexcept { picker_.on_done(done); }

 private:
  struct level {
    std::uint32_t priority;
    std::uint32_t connected = 0;
    std::uint32_t usable = 0;
    bool connects = false;
    bool panics = false;
  };

  void count_levels(roster const& endpoints);
  time_point choose_level(time_point now);

  balance::any_picker picker_;
  selection_params const params_;
  balance::failover failover_;
  std::vector<level> levels_;  // by priority
  std::vector<balance::failover_level> availability_;
  std::vector<slot*> chosen_;
  std::vector<balance::candidate> candidates_;
  std::vector<std::shared_ptr<endpoint const>> described_;  // what those refer to
  std::uint32_t priority_ = 0;
  std::uint32_t connected_ = 0;
  std::uint32_t usable_ = 0;
  bool panicking_ = false;
};

}  // namespace millrace
