// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/stream_attempt.hpp>

namespace millrace {

class loop;

/// A stream over gRPC's core: one call object and batches of its own. The status is asked for from the start, so that a failure
/// shows at once, and not only when somebody reads.
stream_attempt* start_grpc_stream(loop& on, attempt_request const& request, stream_listener& listener);

}  // namespace millrace
