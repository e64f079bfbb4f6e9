// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/metadata.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>
#include <millrace/call/grpc_message.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/method.hpp>

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/alloc.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

// what attempts of unary calls and of streams have in common
namespace millrace::impl {

inline std::string_view view(grpc_slice const& slice) noexcept {
  return {reinterpret_cast<char const*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// gRPC takes no copy and keeps no reference once the attempt is over
inline grpc_slice borrow(std::string_view text) noexcept {
  return grpc_slice_from_static_buffer(text.data(), text.size());
}

inline metadata_view view(grpc_metadata_array const& array) noexcept {
  return {array.metadata, array.count, [](void const* list, std::size_t at) noexcept -> metadata_view::entry {
            grpc_metadata const& one = static_cast<grpc_metadata const*>(list)[at];
            return {view(one.key), view(one.value)};
          }};
}

inline bool exceeds(std::size_t size, std::size_t limit) noexcept { return limit != 0 && size > limit; }

// as gRPC's message size filter words it
inline std::string larger_than_max(char const* what, std::size_t size, std::size_t limit) {
  return std::string(what) + " message larger than max (" + std::to_string(size) + " vs. " + std::to_string(limit) +
         ")";
}

// gRPC empties the buffer it sends, and another attempt may want it: send one that refers to the same bytes
inline void share_into(grpc_byte_buffer& to, message const& payload) {
  if (grpc_byte_buffer const* const buffer = core_of(payload)) to.data.raw.compression = buffer->data.raw.compression;
  append_slices(to.data.raw.slice_buffer, payload);
}

// a gRPC server that shuts down ends the calls that no handler has seen, and those that handlers forget, with CANCELLED and
// that word for a message, although nobody cancelled (docs/design/0004-what-never-left.md)
inline bool dropped_by_server(status const& result) noexcept {
  return result.code == status_code::cancelled && result.message == "CANCELLED";
}

/// A call object of gRPC's core.
class grpc_call_handle {
 public:
  grpc_call_handle() noexcept = default;
  grpc_call_handle(grpc_call_handle const&) = delete;
  grpc_call_handle& operator=(grpc_call_handle const&) = delete;
  ~grpc_call_handle() {
    if (call_ != nullptr) grpc_call_unref(call_);
  }

  void make(grpc_channel& channel, method const& called, time_point deadline) {
    gpr_timespec const until =
        deadline == never
            ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
            : gpr_time_from_nanos(std::chrono::nanoseconds(deadline.time_since_epoch()).count(), GPR_CLOCK_MONOTONIC);
    grpc_completion_queue* const queue = channel.queue().cq();
    channel_ = channel.core();
    if (void* const handle = channel.registered(called)) {
      call_ = grpc_channel_create_registered_call(channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue, handle, until,
                                                  nullptr);
      return;
    }
    grpc_slice const path = grpc_slice_from_copied_buffer(called.path().data(), called.path().size());
    call_ = grpc_channel_create_call(channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue, path, nullptr, until, nullptr);
    grpc_slice_unref(path);
  }

  explicit operator bool() const noexcept { return call_ != nullptr; }
  ::grpc_call* get() const noexcept { return call_; }

  void cancel() noexcept {
    if (call_ != nullptr) grpc_call_cancel(call_, nullptr);
  }

  /// Whether it was given to a connection.
  bool reached_a_connection() const noexcept { return call_ != nullptr && !names(*this).same(); }

  /// Of the connection; empty before there is one.
  std::string peer() const {
    if (call_ == nullptr) return {};
    names const both(*this);
    return both.same() ? "" : both.peer;
  }

 private:
  // the call's peer is its connection's address once it has been given to one, and the channel's target before
  struct names {
    explicit names(grpc_call_handle const& of) noexcept
        : peer(grpc_call_get_peer(of.call_)), target(grpc_channel_get_target(of.channel_)) {}
    names(names const&) = delete;
    names& operator=(names const&) = delete;
    ~names() {
      gpr_free(peer);
      gpr_free(target);
    }
    bool same() const noexcept { return std::string_view(peer) == target; }
    char* peer;
    char* target;
  };

  ::grpc_call* call_ = nullptr;
  ::grpc_channel* channel_ = nullptr;
};

/// What a call begins with, in gRPC's form; used before the batch is started.
class grpc_request_headers {
 public:
  /// Both outlive the call: `text` is where a number is written.
  grpc_request_headers(metadata const& headers, unsigned previous_attempts, std::array<char, 12>& text) {
    count_ = headers.size() + (previous_attempts > 0 ? 1 : 0);
    if (count_ > few_.size()) many_.resize(count_);
    grpc_metadata* to = data();
    for (auto const& [key, value] : headers) *to++ = {borrow(key), borrow(value), {}};
    if (previous_attempts == 0) return;
    auto const [end, ignored] = std::to_chars(text.data(), text.data() + text.size(), previous_attempts);
    *to = {borrow("grpc-previous-rpc-attempts"), borrow({text.data(), end}), {}};
  }

  grpc_metadata* data() noexcept { return many_.empty() ? few_.data() : many_.data(); }
  std::size_t size() const noexcept { return count_; }

 private:
  std::array<grpc_metadata, 12> few_;
  std::vector<grpc_metadata> many_;
  std::size_t count_;
};

}  // namespace millrace::impl
