// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
struct pool_params;
}  // namespace millrace

namespace millrace::config::impl {

/// An argument of a pool's channels. Values are as people read them; `set` is a pointer.
struct channel_argument {
  std::string key;
  std::optional<std::string> value{};     ///< What the channels have; none: see `unheeded`, or keepalive is off.
  std::optional<std::string> engines{};   ///< What the engine sets by itself, if it does.
  std::optional<std::string> unheeded{};  ///< What channel_args ask for, when the channels have something else.
  std::string_view parameter{};           ///< Of pool_params, that the engine makes it of; empty: of none.

  /// The channels have what channel_args say, and would not without them.
  bool theirs() const { return !unheeded && value != engines; }
};

/// All that the engine or channel_args set, but for what differs from endpoint to endpoint; by key.
std::vector<channel_argument> channel_arguments_of(pool_params const& pool);

}  // namespace millrace::config::impl
