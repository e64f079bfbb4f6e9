// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/grpc_message.hpp>

#include <millrace/pool/grpc_access.hpp>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include <utility>

namespace millrace {

namespace {

grpc_byte_buffer* buffer_of(void const* bytes) noexcept {
  return static_cast<grpc_byte_buffer*>(const_cast<void*>(bytes));
}

std::size_t size_of(void const* bytes) noexcept { return grpc_byte_buffer_length(buffer_of(bytes)); }

void append_to(void const* bytes, std::string& out) {
  grpc_byte_buffer_reader reader;
  if (grpc_byte_buffer_reader_init(&reader, buffer_of(bytes)) == 0) return;
  grpc_slice* slice = nullptr;
  while (grpc_byte_buffer_reader_peek(&reader, &slice) != 0) {
    out.append(reinterpret_cast<char const*>(GRPC_SLICE_START_PTR(*slice)), GRPC_SLICE_LENGTH(*slice));
  }
  grpc_byte_buffer_reader_destroy(&reader);
}

void* share(void* bytes) { return grpc_byte_buffer_copy(buffer_of(bytes)); }

void release(void* bytes) noexcept { grpc_byte_buffer_destroy(buffer_of(bytes)); }

}  // namespace

constinit message_kind const byte_buffer_kind{
    .size = &size_of, .append_to = &append_to, .share = &share, .release = &release};

message adopt(grpc_byte_buffer* buffer) noexcept {
  return buffer == nullptr ? message{} : message{buffer, byte_buffer_kind};
}

message to_message(grpc::ByteBuffer&& from) { return adopt(std::exchange(grpc_access::core_of(from), nullptr)); }

grpc::ByteBuffer to_byte_buffer(message&& from) {
  grpc::ByteBuffer buffer;
  if (from.bytes_as(byte_buffer_kind) != nullptr) {
    grpc_access::core_of(buffer) = static_cast<grpc_byte_buffer*>(from.take());
  }
  return buffer;
}

grpc_byte_buffer* core_of(message const& of) noexcept {
  return static_cast<grpc_byte_buffer*>(of.bytes_as(byte_buffer_kind));
}

}  // namespace millrace
