// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/inplace_vector.hpp>
#include <millrace/retry/backoff.hpp>
#include <millrace/time/clock.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace {

/// How connections are replaced while they still work.
struct rotation_params {
  /// A replacement begins at a random time within so long after it is wanted, and so long after the one before. 0 or more.
  duration spread = std::chrono::seconds(1);
  /// Between tries, when a replacement does not connect.
  retry::backoff_params backoff{.initial = std::chrono::seconds(1), .max = std::chrono::minutes(2)};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(rotation_params const& params, std::string_view field_prefix);

/// Why a slot is to be replaced, the most urgent first.
enum class rotation_reason {
  unresponsive,  ///< Calls on it are not answered.
  asked,         ///< The user wants fresh connections: credentials changed.
  age,           ///< The server would soon close it.
};

enum class rotation_state {
  resting,      ///< No replacement is under way; one may be due later.
  replacing,    ///< A replacement is being connected.
  backing_off,  ///< The last one did not connect.
};

std::string_view to_string(rotation_reason reason) noexcept;
std::string_view to_string(rotation_state state) noexcept;

namespace rotation_event {

/// A slot has a new connection, to be replaced for its age at `replace_at`; `never`: not for that.
struct ready {
  std::uint32_t slot;
  time_point replace_at;
};
/// A slot's connection was lost, or the slot drains.
struct gone {
  std::uint32_t slot;
};
struct wanted {
  std::uint32_t slot;
  rotation_reason why;
};
/// The replacement that is under way is connected. It stands for `ready`, too.
struct replacement_ready {
  std::uint32_t slot;
  time_point replace_at;
};
struct replacement_failed {};
struct elapsed {};  ///< The armed timer fell due.

}  // namespace rotation_event

/// What happens to an endpoint's slots.
struct rotation_event_at {
  time_point now;
  std::variant<rotation_event::ready, rotation_event::gone, rotation_event::wanted, rotation_event::replacement_ready,
               rotation_event::replacement_failed, rotation_event::elapsed>
      what;
};

namespace rotation_action {

/// Open a slot beside this one; answered by replacement_ready or replacement_failed.
struct open_replacement {
  std::uint32_t slot;
  rotation_reason why;
};
/// The replacement takes its place: no new calls to this one.
struct drain {
  std::uint32_t slot;
  rotation_reason why;
};
/// Close the replacement that did not connect: this slot stays, and is tried again later.
struct give_up {
  std::uint32_t slot;
  rotation_reason why;
};
struct arm {
  time_point at;
};
struct disarm {};

}  // namespace rotation_action

using rotation_action_any = std::variant<rotation_action::open_replacement, rotation_action::drain,
                                         rotation_action::give_up, rotation_action::arm, rotation_action::disarm>;
using rotation_actions = inplace_vector<rotation_action_any, 2>;

/// Replaces connections of one endpoint before they end, one after the other, each by make-before-break: the new one is
/// connected before the old one drains. When it cannot be connected the old one stays.
///
/// An old connection that ends while its replacement is on its way needs no second successor: its slot is drained at once, and
/// the replacement is a slot like any other from then on.
class rotation {
 public:
  /// Expects validated params; both outlive this.
  rotation(rotation_params const& params, rng& random) noexcept;

  /// Never calls out; the driver performs the actions in order.
  rotation_actions step(rotation_event_at const& event) noexcept;

  rotation_state state() const noexcept { return state_; }

 private:
  // a connected slot, and when and why it is to be replaced
  struct candidate {
    std::uint32_t slot;
    time_point due;
    rotation_reason why;
  };

  rotation_actions on(time_point now, rotation_event::ready event) noexcept;
  rotation_actions on(time_point now, rotation_event::gone event) noexcept;
  rotation_actions on(time_point now, rotation_event::wanted event) noexcept;
  rotation_actions on(time_point now, rotation_event::replacement_ready event) noexcept;
  rotation_actions on(time_point now, rotation_event::replacement_failed) noexcept;
  rotation_actions on(time_point now, rotation_event::elapsed) noexcept;

  candidate* find(std::uint32_t slot) noexcept;
  candidate const* most_urgent(time_point now) const noexcept;
  void put(std::uint32_t slot, time_point replace_at) noexcept;
  void remove(std::uint32_t slot) noexcept;
  time_point within_spread(time_point now) noexcept;
  void enter(rotation_state next) noexcept { state_ = next; }
  void rest(time_point now, rotation_actions& actions) noexcept;
  void arm_for_next(rotation_actions& actions) noexcept;

  rotation_params const& params_;
  rng& random_;
  retry::backoff backoff_;
  rotation_state state_ = rotation_state::resting;
  std::vector<candidate> candidates_;
  candidate current_{};      // what is being replaced
  time_point not_before_{};  // the next replacement
  time_point armed_ = never;
};

}  // namespace millrace
