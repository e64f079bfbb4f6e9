// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/support/byte_buffer.h>

/// The three private members of gRPC C++ that the engine needs, and nothing else does: the core channel inside a
/// grpc::Channel, to start calls with one batch of its own, and the core buffer inside a grpc::ByteBuffer, to hand bytes over
/// without copying. An explicit instantiation may name private members (C++20 [temp.spec.general]/6), so this does not depend
/// on layouts; if a future gRPC renames one, this file fails to compile. Checked with 1.51.
namespace millrace::grpc_access {

template <class Key, typename Key::type Member>
struct opener {
  friend typename Key::type open(Key) noexcept { return Member; }
};

struct channel_core {
  using type = ::grpc_channel* const grpc::Channel::*;
  friend type open(channel_core) noexcept;
};
template struct opener<channel_core, &grpc::Channel::c_channel_>;

struct buffer_core {
  using type = grpc_byte_buffer* grpc::ByteBuffer::*;
  friend type open(buffer_core) noexcept;
};
template struct opener<buffer_core, &grpc::ByteBuffer::buffer_>;

/// Owned by the channel.
inline ::grpc_channel* core_of(grpc::Channel& channel) noexcept { return channel.*open(channel_core{}); }

/// Owned by the buffer; assign to it to hand ownership over.
inline grpc_byte_buffer*& core_of(grpc::ByteBuffer& buffer) noexcept { return buffer.*open(buffer_core{}); }

}  // namespace millrace::grpc_access
