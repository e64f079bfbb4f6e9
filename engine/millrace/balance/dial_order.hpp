// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string_view>

namespace millrace::balance {

struct dial_order_params {
  /// How long a dial may go unanswered before the next endpoint is dialed beside it (RFC 8305's Connection Attempt Delay, which it
  /// recommends to be 100 ms to 2 s). At least 10 ms.
  duration attempt_delay = std::chrono::milliseconds(250);
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(dial_order_params const& params, std::string_view field_prefix);

/// What has come of dialing an endpoint.
enum class dial_outcome {
  none,      ///< Nothing yet.
  failed,    ///< There is no connection, and the last dial failed.
  asked,     ///< It is connected, and has not said yet whether it serves.
  unusable,  ///< It is connected, and calls must not go there.
  usable,
};

struct dial_candidate {
  std::uint32_t endpoint;
  dial_outcome outcome;
};

/// Which endpoints of a list to dial, for whoever needs one: Happy Eyeballs (RFC 8305, section 5), as gRPC's pick_first has it
/// (gRFCs A61, A62).
///
/// | | then |
/// |---|---|
/// | at the beginning | the first in order is dialed |
/// | all that are dialed have failed, or are unusable | the next, at once |
/// | one of them has not answered for `attempt_delay` | the next beside it |
/// | one is usable | it is chosen, of several the first in order; no other is dialed any more |
/// | the chosen one is dialed anew, or has left the list | all over again, from the first |
/// | the chosen one has failed, or is unusable | the same without it, but it is kept until another one is usable, or itself again |
/// | all are dialed | all stay so, each at its own pace, until one is usable |
///
/// The cost: while none is chosen, a step looks at each candidate. A list of n that leads nowhere is dialed to its end within n times
/// `attempt_delay`.
///
/// Pure: takes the time and the candidates, and says when to ask again.
class dial_order {
 public:
  /// Expects validated params.
  explicit dial_order(dial_order_params params = {}) noexcept : params_(params) {}

  /// `in_order` is the whole list; what came of earlier dials to those that are not dialed now does not matter. Call it when an
  /// outcome or the list has changed, and at the time that it gives: `never`, unless it is searching.
  time_point step(time_point now, std::span<dial_candidate const> in_order);

  /// Those to dial, and to keep connected.
  std::set<std::uint32_t> const& dialed() const noexcept { return dialed_; }

  /// The one that was found usable; none while there is none.
  std::optional<std::uint32_t> chosen() const noexcept { return chosen_; }

  /// None is chosen, and not all have had their `attempt_delay`: there is hope of one that nothing speaks against.
  bool searching() const noexcept { return searching_; }

 private:
  void forget_others_than(std::span<dial_candidate const> in_order);
  bool choose(std::span<dial_candidate const> in_order);
  void start_over(time_point now, std::span<dial_candidate const> in_order, std::uint32_t without);
  time_point dial_next(time_point now, std::span<dial_candidate const> in_order);

  dial_order_params params_;
  std::set<std::uint32_t> dialed_;
  std::optional<std::uint32_t> chosen_;
  time_point next_at_{};  // when the next is dialed though others have not answered
  bool searching_ = false;
};

}  // namespace millrace::balance
