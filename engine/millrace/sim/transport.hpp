// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/transport.hpp>
#include <millrace/sim/net.hpp>

namespace millrace::sim {

/// Attempts on sim::channels, answered as the endpoint says. An attempt on a channel without a connection waits for the dial,
/// as in gRPC; it ends with its deadline, and with its connection.
class transport final : public millrace::transport {
 public:
  /// `in` outlives the calls.
  explicit transport(net& in) noexcept : net_(in) {}

  unary_attempt* start(attempt_request const& request, bound<void(completion)> done) override;
  stream_attempt* open(attempt_request const& request, stream_listener& listener) override;

 private:
  class flight;

  net& net_;
};

}  // namespace millrace::sim
