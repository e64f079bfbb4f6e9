// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::sim {

/// What a server says when it is asked for its health (grpc.health.v1).
enum class health_answer : std::uint8_t {
  serving,
  not_serving,
  service_unknown,
  unimplemented,  ///< It has no health service.
  silent,         ///< Nothing, ever.
};

constexpr std::string_view to_string(health_answer value) noexcept {
  switch (value) {
    case health_answer::serving: return "serving";
    case health_answer::not_serving: return "not_serving";
    case health_answer::service_unknown: return "service_unknown";
    case health_answer::unimplemented: return "unimplemented";
    case health_answer::silent: return "silent";
  }
  return "?";
}

/// A question as it arrived.
struct health_question_seen {
  std::string service{};
  bool watch = false;
};

}  // namespace millrace::sim
