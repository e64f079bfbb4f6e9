// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/transport.hpp>

#include <grpc/impl/codegen/grpc_types.h>

#include <cstddef>
#include <vector>

namespace millrace {

class loop;

/// Attempts over gRPC's core: one call object and one batch of six operations each, completed through the loop's queue. No
/// stub, reader or ClientContext; the deadline is on the wire as `grpc-timeout`, so the server sees it.
class grpc_transport final : public transport {
 public:
  /// `on` runs on a cq_port.
  explicit grpc_transport(loop& on);
  ~grpc_transport() override;

  unary_attempt* start(attempt_request const& request, bound<void(completion)> done) override;
  stream_attempt* open(attempt_request const& request, stream_listener& listener) override;

 private:
  class grpc_attempt;

  static constexpr std::size_t most_spares = 128;
  static constexpr std::size_t most_kept = 16;  // entries: one call's flood of trailers is not kept for ever

  grpc_metadata_array take_spare() noexcept;
  void keep_spare(grpc_metadata_array one) noexcept;

  loop& loop_;
  std::vector<grpc_metadata_array> spares_;  // for the trailers of the next attempts
};

}  // namespace millrace
