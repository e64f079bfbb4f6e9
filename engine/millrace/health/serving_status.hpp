// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::health {

/// What a server says of a service, numbered as in grpc.health.v1.
enum class serving_status : std::uint8_t {
  unknown = 0,
  serving = 1,
  not_serving = 2,
  service_unknown = 3,  ///< It has no such service.
};

constexpr std::string_view to_string(serving_status value) noexcept {
  switch (value) {
    case serving_status::unknown: return "UNKNOWN";
    case serving_status::serving: return "SERVING";
    case serving_status::not_serving: return "NOT_SERVING";
    case serving_status::service_unknown: return "SERVICE_UNKNOWN";
  }
  return "?";
}

}  // namespace millrace::health
