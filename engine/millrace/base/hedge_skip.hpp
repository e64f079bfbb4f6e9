// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace {

/// Why a hedge that was due was not sent.
enum class hedge_skip {
  no_room,     ///< No slot had room at that moment; hedges do not wait.
  budget,      ///< The pool's retry budget is empty, or the server throttled.
  extra_load,  ///< The policy's `max_extra_load` is used up.
};

constexpr std::string_view to_string(hedge_skip value) noexcept {
  switch (value) {
    case hedge_skip::no_room: return "no_room";
    case hedge_skip::budget: return "budget";
    case hedge_skip::extra_load: return "extra_load";
  }
  return "?";
}

}  // namespace millrace
