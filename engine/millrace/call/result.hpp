// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status.hpp>

#include <grpcpp/support/status.h>
#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>

namespace millrace {

/// What `rpc_result::value()` throws when the RPC failed.
class rpc_error : public std::runtime_error {
 public:
  explicit rpc_error(grpc::Status const& status)
      : std::runtime_error(std::string(to_string(static_cast<status_code>(status.error_code()))) + ": " +
                           status.error_message()),
        status_(status) {}

  grpc::Status const& status() const noexcept { return status_; }

 private:
  grpc::Status status_;
};

/// The outcome of an RPC: the response, or the status of the server, the wire, the deadline, or the pool on the call's
/// behalf. `if (reply) reply->text(); else reply.error().error_message();` and `reply.value()` throws rpc_error.
template <class T>
using rpc_result = boost::system::result<T, grpc::Status>;

/// gRPC's form of a status.
inline grpc::Status to_grpc(status const& from) {
  if (from.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(from.code), from.message, from.details};
}

/// The engine's form of one.
inline status from_grpc(grpc::Status const& from) {
  if (from.ok()) return {};
  return {static_cast<status_code>(from.error_code()), from.error_message(), from.error_details()};
}

}  // namespace millrace

namespace grpc {

// found by argument-dependent lookup from boost::system::result::value()
[[noreturn]] inline void throw_exception_from_error(Status const& error, boost::source_location const&) {
  throw millrace::rpc_error(error);
}

}  // namespace grpc
