// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/method_config.hpp>
#include <millrace/retry/throttle.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct client_params;
struct pool_params;

/// A gRPC service config (doc/service_config.md, gRFC A6): what the owner of a service asks of its clients.
struct service_config {
  /// `min_ring_size` and `max_ring_size` of ring_hash (gRFC A42).
  struct ring_sizes {
    std::uint64_t min = 1024;
    std::uint64_t max = 4096;

    bool operator==(ring_sizes const&) const = default;
  };

  /// Reads it. The published schema decides what is valid (grpc/service_config/service_config.proto), with gRPC's own rules about
  /// required fields and ranges; std::invalid_argument names the field, the value and what is allowed. Unknown fields are
  /// passed over, as in gRPC, and listed in `unused`; unlike gRPC's, a text with a key given twice is refused in every case.
  static service_config from_json(std::string_view text);

  /// The policy, as pool_params::balance calls it; none: the text does not say.
  std::optional<std::string> balance{};
  ring_sizes ring{};          ///< Of `ring_hash`.
  unsigned choice_count = 2;  ///< Of `least_request`.

  /// Whose health to ask the servers for; none: nobody's.
  std::optional<std::string> health_service{};

  std::shared_ptr<method_table const> methods{};  ///< Never null once read.
  std::optional<retry::throttle_params> retry_throttling{};

  /// What the text has and the engine does not use: `xds`, with the reason.
  struct unused_field {
    std::string path;
    std::string why;
  };
  std::vector<unused_field> unused{};

  /// Sets the picker, unless code made one (`make_picker`), and `health_check`, unless there is one.
  void apply_to(pool_params& pool) const;

  /// Sets `methods` and `retry_throttling`.
  void apply_to(client_params& client) const;
};

}  // namespace millrace
