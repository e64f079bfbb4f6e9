// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/grpc_message.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/pool/grpc_access.hpp>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include <new>
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

constexpr std::size_t slab_size = std::size_t{32} * 1024;
constexpr std::size_t largest_in_slab = slab_size / 4;  // what is wasted at a slab's end is less

// what a message of slice_kind points to
struct slice_block {
  loop* on;
  grpc_slice slice;
};

slice_block* make_block(loop& on, grpc_slice const& slice) {
  return ::new (on.allocate(sizeof(slice_block))) slice_block{&on, slice};
}

grpc_slice const& slice_of(void const* bytes) noexcept { return static_cast<slice_block const*>(bytes)->slice; }

std::string_view view(grpc_slice const& slice) noexcept {
  return {reinterpret_cast<char const*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

/// Where a thread puts its requests, one behind the other, in slabs that gRPC counts the references to: a slab is freed with the
/// last request in it, on whatever thread that goes (docs/design/0012-requests-in-slabs.md).
class slab {
 public:
  slab() noexcept = default;
  slab(slab const&) = delete;
  slab& operator=(slab const&) = delete;
  ~slab() { grpc_slice_unref(all_); }

  grpc_slice cut(std::size_t size) {
    if (GRPC_SLICE_LENGTH(all_) - used_ < size) renew();
    used_ += size;
    return grpc_slice_sub(all_, used_ - size, used_);
  }

 private:
  void renew() {
    grpc_slice_unref(all_);
    all_ = GRPC_SLICE_MALLOC(slab_size);
    used_ = 0;
  }

  grpc_slice all_ = grpc_empty_slice();
  std::size_t used_ = 0;
};

grpc_slice make_slice(std::size_t size) {
  if (size <= GRPC_SLICE_INLINED_SIZE || size > largest_in_slab) return GRPC_SLICE_MALLOC(size);
  thread_local slab shared;
  return shared.cut(size);
}

std::size_t slice_size(void const* bytes) noexcept { return GRPC_SLICE_LENGTH(slice_of(bytes)); }

void append_slice(void const* bytes, std::string& out) { out.append(view(slice_of(bytes))); }

void* share_slice(void* bytes) {
  return make_block(*static_cast<slice_block*>(bytes)->on, grpc_slice_ref(slice_of(bytes)));
}

void release_slice(void* bytes) noexcept {
  auto* const block = static_cast<slice_block*>(bytes);
  grpc_slice_unref(block->slice);
  block->on->deallocate(block, sizeof(slice_block));
}

}  // namespace

constinit message_kind const slice_kind{
    .size = &slice_size, .append_to = &append_slice, .share = &share_slice, .release = &release_slice};

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

message make_message(loop& on, std::size_t size, unsigned char*& into) {
  slice_block* const block = make_block(on, make_slice(size));
  into = GRPC_SLICE_START_PTR(block->slice);
  return {block, slice_kind};
}

std::optional<std::string_view> one_piece(message const& of) noexcept {
  grpc_byte_buffer const* const buffer = core_of(of);
  if (buffer == nullptr || buffer->data.raw.compression != GRPC_COMPRESS_NONE) return std::nullopt;
  grpc_slice_buffer const& slices = buffer->data.raw.slice_buffer;
  if (slices.count != 1) return std::nullopt;
  std::string_view const piece = view(slices.slices[0]);
  // protobuf counts in ints
  if (piece.size() > std::numeric_limits<int>::max()) return std::nullopt;
  return piece;
}

void append_slices(grpc_slice_buffer& to, message const& from) {
  if (void const* const block = from.bytes_as(slice_kind)) {
    return grpc_slice_buffer_add(&to, grpc_slice_ref(slice_of(block)));
  }
  grpc_slice_buffer const& slices = core_of(from)->data.raw.slice_buffer;
  for (std::size_t at = 0; at < slices.count; ++at) grpc_slice_buffer_add(&to, grpc_slice_ref(slices.slices[at]));
}

}  // namespace millrace
