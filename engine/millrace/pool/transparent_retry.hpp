// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace {

/// Who repeats an attempt that no server application has seen (docs/design/0004-what-never-left.md).
enum class transparent_retry {
  /// The engine alone, attempts that reached no connection: counted, told and paid for. What was on a connection goes by the
  /// policy, whatever the server says of it.
  engine,
  /// Besides, gRPC's core repeats a stream once that the server's GOAWAY says it has not processed, unseen by budget, observers and
  /// `call_info`. Takes gRPC's whole stack of filters, as without `minimal_stack`.
  core,
};

constexpr std::string_view to_string(transparent_retry value) noexcept {
  switch (value) {
    case transparent_retry::engine: return "engine";
    case transparent_retry::core: return "core";
  }
  return "?";
}

}  // namespace millrace
