// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

/// A hook's answer "go on": `return proceed;`.
struct proceed_t {};
inline constexpr proceed_t proceed{};

/// A hook's answer "wait": `return hold;`, having taken `call_context::hold_call()`.
struct hold_t {};
inline constexpr hold_t hold{};

/// What a hook answers. Made from `proceed`, `hold` or `finish(…)`.
class [[nodiscard]] hook_result {
 public:
  enum class kind : std::uint8_t {
    proceed,  ///< The next interceptor runs, then the call goes on.
    hold,     ///< The call waits until its held_call says how to go on.
    finish,   ///< The call ends with the status; from `on_done`, the status replaces the one it has.
  };

  hook_result(proceed_t) noexcept {}
  hook_result(hold_t) noexcept : kind_(kind::hold) {}
  explicit hook_result(status end) : kind_(kind::finish), end_(std::make_unique<status>(std::move(end))) {}

  kind what() const noexcept { return kind_; }

  /// The status of a `finish`, once; otherwise null.
  std::unique_ptr<status> take_status() noexcept { return std::move(end_); }

 private:
  kind kind_ = kind::proceed;
  std::unique_ptr<status> end_;  // apart, because most answers have none and each is moved a few times
};

/// A hook's answer "the call ends with this": `return finish(status_code::unauthenticated, "no token");`.
inline hook_result finish(status end) { return hook_result(std::move(end)); }
inline hook_result finish(status_code code, std::string message) {
  return finish(status{code, std::move(message), {}});
}

}  // namespace millrace
