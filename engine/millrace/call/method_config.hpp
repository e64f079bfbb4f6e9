// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/retry/hedging.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// What the calls of a method have in common; what is absent is as the client has it. As gRPC's `methodConfig` has it
/// (doc/service_config.md).
struct method_config {
  std::optional<duration> timeout{};  ///< At most this, whatever the call itself asks for; 0: no call has any time.
  std::optional<bool> wait_for_ready{};
  std::optional<retry::retry_policy> retry{};
  std::optional<retry::hedging_policy> hedging{};  ///< In place of `retry`, for calls that are idempotent.
  std::optional<bool> idempotent{};                ///< Calls of the method may run more than once.
  /// Of a message, serialised. Besides what the pool allows; 0: only empty ones.
  std::optional<std::uint32_t> max_request_bytes{};
  std::optional<std::uint32_t> max_response_bytes{};
};

/// Settings of methods, of services and of all calls. A client's constructor throws std::invalid_argument for those that are not allowed,
/// and names them by their full name and field.
class method_table {
 public:
  /// For `/service/method`; with an empty method for those of the service that have none of their own; with both empty for all
  /// other calls. False when there is such an entry already.
  bool add(std::string_view service, std::string_view method, method_config config);

  /// The most specific entry for a method's full name, `/service/method`; null: none. Valid as long as the table.
  method_config const* find(std::string_view path) const;

  /// By `/service/method`, `/service/` and, for all others, the empty name.
  std::map<std::string, method_config, std::less<>> const& entries() const noexcept { return entries_; }

 private:
  method_config const* exactly(std::string_view name) const;

  std::map<std::string, method_config, std::less<>> entries_;
};

}  // namespace millrace
