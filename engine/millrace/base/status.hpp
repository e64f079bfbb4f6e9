// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>

#include <string>

namespace millrace {

/// An RPC's outcome where gRPC's own type is out of reach: in machines, interceptors and the simulator.
struct status {
  status_code code = status_code::ok;
  std::string message;
  /// The serialised google.rpc.Status of `grpc-status-details-bin`; empty when the server sent none.
  std::string details;

  bool ok() const noexcept { return code == status_code::ok; }
};

}  // namespace millrace
