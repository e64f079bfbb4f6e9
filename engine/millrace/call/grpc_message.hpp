// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/base/status.hpp>

#include <grpcpp/support/byte_buffer.h>

struct grpc_byte_buffer;

namespace millrace {

/// The kind of a message that is a core byte buffer.
extern message_kind const byte_buffer_kind;

/// Takes the buffer's bytes without copying; `from` is empty afterwards.
message to_message(grpc::ByteBuffer&& from);

/// The other way round. `from` is empty afterwards.
grpc::ByteBuffer to_byte_buffer(message&& from);

/// The core buffer of a message of that kind; null for others. Still owned by the message.
grpc_byte_buffer* core_of(message const& of) noexcept;

/// Takes over a core buffer.
message adopt(grpc_byte_buffer* buffer) noexcept;

}  // namespace millrace
