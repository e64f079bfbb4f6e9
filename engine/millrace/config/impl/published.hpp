// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::published {
class ServiceConfig;
}

namespace millrace::config::impl {

/// What a service config has beside the published schema.
struct unpublished_fields {
  /// The deprecated field, which in gRPC may be any policy's name.
  std::optional<std::string> load_balancing_policy{};
  std::vector<std::string> unknown{};  ///< Paths.
};

/// Reads a service config. Of `loadBalancingConfig`, only the first policy that the engine has is left, in its place: gRPC does not
/// look at further ones. Throws std::invalid_argument that names the field.
unpublished_fields parse_published(std::string_view text, published::ServiceConfig& into);

}  // namespace millrace::config::impl
