// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <grpc/support/time.h>

namespace millrace {

/// A deadline as gRPC takes it. Its monotonic clock and steady_clock are both CLOCK_MONOTONIC.
inline gpr_timespec to_timespec(time_point at) noexcept {
  if (at == never) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_from_nanos(std::chrono::nanoseconds(at.time_since_epoch()).count(), GPR_CLOCK_MONOTONIC);
}

}  // namespace millrace
