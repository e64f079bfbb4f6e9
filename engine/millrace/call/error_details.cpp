// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/error_details.hpp>

#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/support/status.h>

namespace millrace {

// google.rpc.Status is { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }, and Debian has no
// package of its proto
error_details::error_details(grpc::Status const& of) {
  constexpr int details = 3;
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromString(of.error_details())) return;
  for (int at = 0; at < fields.field_count(); ++at) {
    google::protobuf::UnknownField const& field = fields.field(at);
    if (field.number() != details || field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) continue;
    if (google::protobuf::Any one; one.ParseFromString(field.length_delimited())) all_.push_back(std::move(one));
  }
}

}  // namespace millrace
