// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/transport.hpp>

namespace millrace {

class loop;

/// Attempts over gRPC's core: one call object and one batch of six operations each, completed through the loop's queue. No
/// stub, reader or ClientContext; the deadline is on the wire as `grpc-timeout`, so the server sees it.
class grpc_transport final : public transport {
 public:
  /// `on` runs on a cq_port.
  explicit grpc_transport(loop& on);

  attempt* start(attempt_request const& request, bound<void(completion)> done) override;

 private:
  class grpc_attempt;

  loop& loop_;
};

}  // namespace millrace
