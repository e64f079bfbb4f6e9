// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

struct failover_params {
  /// How long calls wait for a level that has never been usable and connects (a dial, or the first answer of its health service, is
  /// on its way), while a lower one is usable: without it whoever connects first would get the calls of the start. Once nothing is
  /// on its way, they wait no longer. The default is that of gRPC's priority policy. Not negative.
  duration initial_timeout = std::chrono::seconds(10);
  /// How long a level that calls go to may be unusable before they go to a lower one; meanwhile they wait. Not negative.
  duration recovery_timeout{};
  /// How long a higher level has to be usable, without a break, before calls go up to it. Not negative.
  duration switching_delay{};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(failover_params const& params, std::string_view field_prefix);

/// The endpoints of one priority. 0 is the highest: the most wanted.
struct failover_level {
  std::uint32_t priority;
  bool usable;
  bool connects = false;  ///< It is not usable, and may be soon.
};

struct failover_choice {
  std::uint32_t priority = 0;
  /// When the choice may be another though no level has changed.
  time_point look_again = never;

  bool operator==(failover_choice const&) const = default;
};

/// Which priority calls go to: the highest usable one, but for the time that it takes to be sure (grpc-gcp's MultiEndpoint, whose
/// recovery timeout and switching delay these are). All calls go to one level; none is split over two.
///
/// | level in use | then |
/// |---|---|
/// | is usable, and a higher one too | goes up when that has been usable for `switching_delay`; of several the highest that has |
/// | is not, but a higher one is | goes up at once |
/// | is not, nor a higher one | stays for `recovery_timeout` since it was usable (or first seen); then the best |
/// | was never usable, and still connects for the first time | stays besides until `initial_timeout` since it began to |
/// | is gone from the levels, or there is none yet | the best at once |
///
/// The best is the highest that is usable, or connects for the first time, within `initial_timeout`; if there is none the highest.
///
/// The cost: a step looks at each level a few times, and allocates. A pool steps whenever a slot becomes ready or is lost, or a
/// verdict changes, and at `look_again`; a call pays nothing. What does cost is waiting: calls stand in the pool's queue, and count
/// against `max_waiting`, while a level has its time; and a backup level has its connections and health checks all along.
///
/// Pure: takes the time and the levels, and says when to ask again.
class failover {
 public:
  /// Expects validated params.
  explicit failover(failover_params params = {}) noexcept : params_(params) {}

  /// `levels` are all there are, by priority, each once. Call it when one has changed and at `look_again`. Without levels it
  /// forgets what it knew.
  failover_choice step(time_point now, std::span<failover_level const> levels) noexcept;

 private:
  struct seen {
    failover_level level;
    time_point since;        // as usable as it is
    time_point hoped_until;  // while it connects: `never` before it began to, past once it was usable or failed
  };

  void note(time_point now, std::span<failover_level const> levels);
  seen const* in_use() const noexcept;
  seen const& best(time_point now) const noexcept;
  void choose(time_point now) noexcept;
  time_point look_again(time_point now) const noexcept;
  time_point given_up(seen const& one) const noexcept;
  time_point trusted(seen const& one) const noexcept { return saturating_add(one.since, params_.switching_delay); }

  failover_params params_;
  std::vector<seen> seen_;  // by priority
  std::optional<std::uint32_t> priority_;
};

}  // namespace millrace::balance
