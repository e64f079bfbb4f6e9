// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/deadline.hpp>

#include <grpcpp/server_context.h>

#include <cstdint>

namespace millrace {

time_point inbound_deadline(grpc::ServerContextBase const& inbound, duration allowance) noexcept {
  gpr_timespec const wall = inbound.raw_deadline();
  if (gpr_time_cmp(wall, gpr_inf_future(wall.clock_type)) == 0) return never;
  gpr_timespec const left =
      gpr_time_sub(gpr_convert_clock_type(wall, GPR_CLOCK_MONOTONIC), gpr_now(GPR_CLOCK_MONOTONIC));
  constexpr std::int64_t century = 100LL * 365 * 24 * 3600;  // beyond what nanoseconds can count there is none either
  if (left.tv_sec > century) return never;
  auto const until_then = std::chrono::seconds(left.tv_sec) + std::chrono::nanoseconds(left.tv_nsec);
  return saturating_add(clock::now(), std::chrono::duration_cast<duration>(until_then) - allowance);
}

}  // namespace millrace
