// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <concepts>
#include <optional>
#include <string_view>
#include <vector>

namespace grpc {
class Status;
}

namespace millrace {

/// What a server said of an error beside code and text: the messages of the `google.rpc.Status` in `grpc-status-details-bin`
/// (the richer error model of gRPC's guide). Their types are yours to generate, such as google/rpc/error_details.proto's;
/// that of the Status itself is not needed.
///
///     if (auto const info = error_details(reply.error()).find<google::rpc::RetryInfo>()) …
///
/// Details that cannot be read are as if there were none; nothing here throws for what a server sent. Any thread.
class error_details {
 public:
  explicit error_details(grpc::Status const& of);

  bool empty() const noexcept { return all_.empty(); }

  /// In the server's order.
  std::vector<google::protobuf::Any> const& all() const noexcept { return all_; }

  /// The first of this type that can be read.
  template <std::derived_from<google::protobuf::Message> Detail>
  std::optional<Detail> find() const {
    for (google::protobuf::Any const& one : all_) {
      if (Detail detail; one.Is<Detail>() && one.UnpackTo(&detail)) return detail;
    }
    return std::nullopt;
  }

 private:
  std::vector<google::protobuf::Any> all_;
};

}  // namespace millrace
