// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/base/status.hpp>

#include <google/protobuf/message_lite.h>
#include <grpc/slice_buffer.h>
#include <grpcpp/support/byte_buffer.h>

#include <concepts>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>

struct grpc_byte_buffer;

namespace millrace {

class loop;

/// The kind of a message that is a core byte buffer: what is received, and what users serialised themselves.
extern message_kind const byte_buffer_kind;

/// The kind of a message that is one slice in a recycled block: what the engine serialises. Spares the byte buffer's
/// allocation. May outlive its loop, and go on any thread.
extern message_kind const slice_kind;

/// `size` bytes for the caller to write to `into`, of a slab that this thread's requests share. Any thread.
message make_message(loop& on, std::size_t size, unsigned char*& into);

/// Serialises a protobuf message into one slice. Empty when it is larger than protobuf's limit of 2 GiB. Any thread.
template <std::derived_from<google::protobuf::MessageLite> Message>
message to_message(loop& on, Message const& from) {
  std::size_t const size = from.ByteSizeLong();
  if (size > std::numeric_limits<int>::max()) return {};
  unsigned char* into = nullptr;
  message bytes = make_message(on, size, into);
  from.SerializeWithCachedSizesToArray(into);
  return bytes;
}

/// A received message's bytes when they lie in one piece, as those of most do: nothing needs to stitch them together.
/// Never more than INT_MAX of them.
std::optional<std::string_view> one_piece(message const& of) noexcept;

/// Takes the buffer's bytes without copying; `from` is empty afterwards.
message to_message(grpc::ByteBuffer&& from);

/// The other way round, for a message of byte_buffer_kind, which is empty afterwards; an invalid buffer for any other.
grpc::ByteBuffer to_byte_buffer(message&& from);

/// The core buffer of a message of that kind; null for others. Still owned by the message.
grpc_byte_buffer* core_of(message const& of) noexcept;

/// Appends references to the bytes of a message of either kind.
void append_slices(grpc_slice_buffer& to, message const& from);

/// Takes over a core buffer.
message adopt(grpc_byte_buffer* buffer) noexcept;

}  // namespace millrace
