// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace millrace {

/// The points of a call at which interceptors run. A stage is one such point, once.
enum class hook : std::uint8_t {
  start,             ///< Before the first attempt.
  send_message,      ///< Before a message goes out.
  initial_metadata,  ///< The server's headers arrived.
  recv_message,      ///< A message arrived.
  done,              ///< The call has its status; its caller does not know yet.
};

constexpr std::string_view to_string(hook value) noexcept {
  switch (value) {
    case hook::start: return "on_start";
    case hook::send_message: return "on_send_message";
    case hook::initial_metadata: return "on_initial_metadata";
    case hook::recv_message: return "on_recv_message";
    case hook::done: return "on_done";
  }
  return "?";
}

/// Interceptors nest: what goes out passes the first one first, what comes back passes it last.
constexpr bool runs_in_reverse(hook value) noexcept { return value != hook::start && value != hook::send_message; }

/// A set of hooks, as an interceptor or a chain lists those it has.
class hook_set {
 public:
  constexpr hook_set() noexcept = default;
  constexpr hook_set(std::initializer_list<hook> hooks) noexcept {
    for (hook one : hooks) bits_ = static_cast<std::uint8_t>(bits_ | bit(one));
  }

  static constexpr hook_set all() noexcept {
    return {hook::start, hook::send_message, hook::initial_metadata, hook::recv_message, hook::done};
  }

  constexpr bool contains(hook one) const noexcept { return (bits_ & bit(one)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }

  constexpr hook_set& operator|=(hook_set other) noexcept {
    bits_ = static_cast<std::uint8_t>(bits_ | other.bits_);
    return *this;
  }
  friend constexpr bool operator==(hook_set, hook_set) noexcept = default;

 private:
  static constexpr unsigned bit(hook one) noexcept { return 1u << static_cast<unsigned>(one); }

  std::uint8_t bits_ = 0;
};

}  // namespace millrace
