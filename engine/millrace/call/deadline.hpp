// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

namespace grpc {
class ServerContextBase;
}

namespace millrace {

/// Until when the caller of an inbound call waits, less an allowance for the way back: for `call_options::deadline` of the calls
/// made on its behalf. `never` when the caller set none. May have passed.
///
/// The wall-clock time that gRPC gives is turned into the loop's clock now, so later steps of the wall clock do not move it,
/// and `inbound` is not kept (grpc issue 21717). Its cancellation is not passed on by this: let the inbound call's
/// `AsyncNotifyWhenDone` emit the cancellation signal of the outbound one. Any thread.
time_point inbound_deadline(grpc::ServerContextBase const& inbound, duration allowance = {}) noexcept;

}  // namespace millrace
