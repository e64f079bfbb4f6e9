// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/candidate.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/time/clock.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace millrace::balance {

/// A call wants a slot. A retry or a hedge names where its last attempt went: the pick lands elsewhere if there is an
/// elsewhere, on another endpoint rather than on another slot of the same one.
struct pick_info {
  time_point now;
  std::uint32_t avoid_slot = nobody;
  std::uint32_t avoid_endpoint = nobody;
  std::optional<std::uint64_t> hash{};  ///< Of the call's key (`hash_key`); none: it may go anywhere.
  std::uint32_t in_flight = 0;          ///< Calls on all slots, without this one.
};

/// An attempt on a slot ended.
struct done_info {
  time_point now;
  std::uint32_t slot;
  status_code code;
  duration latency;
};

/// How to choose among slots. A value, used by one loop. `rebuild` copies the candidates and may allocate; the other two may
/// not. `pick` gives an index into the span last given to `rebuild`; none when that was empty or never happened.
// (formatted by hand: clang-format 14 tears compound requirements apart)
// clang-format off
template <class P>
concept picker_policy = std::movable<P> && requires(P& policy, std::span<candidate const> candidates,
                                                    pick_info const& info, done_info const& done) {
  policy.rebuild(candidates);
  { policy.pick(info) } noexcept -> std::same_as<std::optional<std::size_t>>;
  { policy.on_done(done) } noexcept;
};
// clang-format on

/// Which endpoints a pool connects to for a policy.
enum class dialing {
  all,    ///< Each: calls are spread over them, or have somewhere else to go at once.
  first,  ///< One of each priority, the first in order that answers: `dial_order`.
};

/// What a policy asks for with a member `dialing dials() const noexcept`, which may be static; without it `all`.
template <picker_policy P>
constexpr dialing dials(P const& policy) noexcept {
  if constexpr (requires { policy.dials(); }) {
    return policy.dials();
  } else {
    return dialing::all;
  }
}

}  // namespace millrace::balance
