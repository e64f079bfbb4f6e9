// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::canned {

/// The bytes of an answer, made once for each length asked for in a row.
class reply {
 public:
  /// HPACK: `:status: 200` and `content-type: application/grpc`. Neither entry is added to the peer's table.
  static std::string_view headers() noexcept;

  /// HPACK: `grpc-status: 0`.
  static std::string_view trailers() noexcept;

  /// A gRPC message of `length` bytes with its prefix: protobuf's field 1, a string of x, so that a stub can parse it. Valid until
  /// the next call. There is no such message of 1 byte; an empty one then.
  std::string_view body(std::uint32_t length);

 private:
  std::uint32_t length_ = 0;
  std::string body_ = std::string(5, '\0');
};

}  // namespace millrace::canned
