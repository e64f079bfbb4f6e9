// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/health/serving_status.hpp>

#include <optional>
#include <string>
#include <string_view>

/// The two messages of grpc.health.v1, by hand: code that protoc generates would be in every program twice that has its own copy of
/// health.proto, and protobuf aborts a program in which a file is registered twice.
namespace millrace::health {

/// A serialised HealthCheckRequest.
std::string encode_health_request(std::string_view service);

/// The status in a serialised HealthCheckResponse; `unknown` for values that are not known here. None when the bytes are no message.
std::optional<serving_status> decode_health_response(std::string_view bytes) noexcept;

}  // namespace millrace::health
