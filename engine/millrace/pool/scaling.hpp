// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/load_latency.hpp>
#include <millrace/time/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace {

/// When a pool opens connections beyond its minimum, and when it closes them again. The defaults are gRFC A105's for growing
/// and google-cloud-cpp's (bigtable, dynamic channel pool) for shrinking, which A105 leaves to the servers.
struct scaling_params {
  /// Calls in flight a slot, on average over an endpoint's ready slots, above which the endpoint gets another one. 0: only when
  /// calls wait because every ready slot has `max_calls_per_slot`; at most that.
  std::uint32_t grow_at = 0;
  /// An endpoint gets another slot, too, when its calls under load take so many times as long as at low load. More than 1;
  /// 0: latency does not matter. Growth that does not make calls faster is undone, and tried less and less often.
  double grow_when_slower = 0;
  /// An endpoint grows for its latency at most once in so long. More than 0.
  duration grow_interval = std::chrono::seconds(10);
  /// How often shrinking is considered, by one slot an endpoint. More than 0.
  duration shrink_interval = std::chrono::seconds(30);
  /// A slot that was not needed for so long is drained; none is sooner after it was opened. 0 or more;
  /// `duration::max()`: the pool never shrinks.
  duration shrink_after = std::chrono::seconds(120);
  /// A slot is not needed while the most calls there were at once would fill the others up to this part. More than 0, up to 1.
  double shrink_below = 0.8;
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(scaling_params const& params, std::uint32_t max_calls_per_slot, std::string_view field_prefix);

/// What scaling needs to know of an endpoint. A slot and its replacement count as one while one replaces the other.
struct endpoint_load {
  std::uint32_t endpoint;   ///< A number to name it in decisions, small: it indexes.
  std::uint32_t min_slots;  ///< Its share of the pool's.
  std::uint32_t max_slots;
  std::uint32_t open;       ///< Slots, without those that drain or are closed.
  std::uint32_t dialing;    ///< Of these: a connection is on its way.
  std::uint32_t ready;      ///< Of these.
  std::uint32_t draining;   ///< Besides these: they still have a connection, and take no calls.
  std::uint32_t in_flight;  ///< Calls on ready slots.
  std::uint32_t peak;       ///< The most that `in_flight` was since the last look.
  std::uint32_t free;       ///< Calls its ready slots can still take.
};

struct pool_load {
  std::span<endpoint_load const> endpoints;
  std::uint32_t
      max_slots;  ///< Connections at most, over all endpoints; those that drain count, and slots that back off do not.
  std::uint32_t waiting;  ///< Calls that found no room, with one that is about to wait.
};

/// At most one of the two to do; with one of them look again once it is done, for there may be more. `again`: look then even
/// if nothing happens in between; `never`: nothing will be due by itself.
struct scaling_decision {
  std::optional<std::uint32_t> open_on;   ///< Open a slot on that endpoint.
  std::optional<std::uint32_t> drain_on;  ///< Drain a slot of it: one that is not ready, else the least loaded.
  time_point again = never;
};

/// Decides when which endpoint gets one slot more or one less. Look when a call finds no room, when a slot changed, when
/// `crowded` or `on_done` ask for it, and at the time the last look gave.
///
/// It grows an endpoint by one slot while all that it has are ready: one dial at a time, none while a slot backs off (A105),
/// and none in an outage, where more connections would only be more dials. Of several, it grows for waiting calls the one with
/// the fewest slots; not while room for all that wait is on its way to where there is a connection already.
///
/// It shrinks an endpoint by its topmost slot, slot k being needed while the calls at once exceed `shrink_below` of what
/// k - 1 slots carry. What a slot carries is `max_calls_per_slot`, or `grow_at`, or, after it grew for its latency, what its
/// slots had when that became too long.
class scaling {
 public:
  /// Expects validated params.
  scaling(scaling_params const& params, std::uint32_t max_calls_per_slot) noexcept;

  /// `load` has all endpoints: one that is missing is forgotten.
  scaling_decision look(time_point now, pool_load const& load);

  /// True when an endpoint with so many calls in flight is to grow for `grow_at`.
  bool crowded(std::uint32_t in_flight, std::uint32_t ready) const noexcept {
    return params_.grow_at != 0 && in_flight > std::uint64_t{params_.grow_at} * ready;
  }

  /// A call ended OK. `in_flight` is the endpoint's, with this call. True when the endpoint is to grow for its latency.
  bool on_done(time_point now, std::uint32_t endpoint, duration latency, std::uint32_t in_flight,
               std::uint32_t ready) noexcept {
    if (params_.grow_when_slower == 0 || endpoint >= histories_.size()) return false;
    history& one = histories_[endpoint];
    one.latency.on_done(latency, in_flight, ready);
    return now >= one.grow_for_latency_at && one.latency.ratio() > params_.grow_when_slower;
  }

 private:
  // what is remembered of an endpoint
  struct history {
    std::vector<time_point> needed_at;  // when the k-th slot was needed last, or opened
    std::uint32_t peak = 0;             // since shrinking was considered
    time_point consider_at{};
    load_latency latency;
    time_point grow_for_latency_at = time_point::min();
    duration latency_wait{};
    double latency_at_growth = 0;  // of the growth whose effect is still to be judged; 0: none
    double carries = 0;            // calls a slot, when it grew for its latency; 0: it did not
    bool present = false;
  };

  void remember(time_point now, pool_load const& load);
  std::optional<std::uint32_t> to_open(time_point now, pool_load const& load) noexcept;
  std::optional<std::uint32_t> for_waiting_calls(pool_load const& load) const noexcept;
  std::optional<std::uint32_t> most_crowded(pool_load const& load) const noexcept;
  std::optional<std::uint32_t> slowest(time_point now, pool_load const& load) noexcept;
  bool grows_for_latency(time_point now, endpoint_load const& at) noexcept;
  std::optional<std::uint32_t> to_drain(time_point now, pool_load const& load) noexcept;
  bool shrinks(time_point now, endpoint_load const& at, bool calls_wait) noexcept;
  std::size_t slots_needed(history const& one) const noexcept;
  time_point next_look(pool_load const& load) const noexcept;

  scaling_params const params_;
  std::uint32_t const max_calls_per_slot_;
  std::vector<history> histories_;  // by the endpoint's number
};

}  // namespace millrace
