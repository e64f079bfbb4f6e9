// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/grpc_stream.hpp>

#include <millrace/call/impl/grpc_call.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>

#include <grpc/byte_buffer.h>
#include <grpcpp/impl/codegen/completion_queue_tag.h>

#include <array>
#include <cstdint>
#include <new>
#include <utility>

namespace millrace {

using namespace impl;

namespace {

/// A tag in gRPC C++'s form.
template <auto Member>
class batch final : public grpc::internal::CompletionQueueTag {
 public:
  using owner_type = typename tag<Member>::owner_type;

  explicit batch(owner_type& owner) noexcept : back(owner) {}

  bool FinalizeResult(void** to, bool*) override {
    *to = back.as_tag();
    return true;
  }

  tag<Member> back;
};

class grpc_stream_attempt final : public stream_attempt {
 public:
  grpc_stream_attempt(loop& on, attempt_request const& request, stream_listener& listener) noexcept
      : loop_(on),
        channel_(static_cast<grpc_channel&>(request.channel)),
        path_(request.method.path()),
        listener_(listener),
        limits_(channel_.limits()) {
    grpc_metadata_array_init(&initial_);
    grpc_metadata_array_init(&trailing_);
    sending_.type = GRPC_BB_RAW;
    grpc_slice_buffer_init(&sending_.data.raw.slice_buffer);
  }

  void start(attempt_request const& request) {
    bool const sends_first = request.kind == call_kind::server_stream;
    if (sends_first && exceeds(request.payload.size(), limits_.request)) return refuse(request.payload.size());
    call_.make(channel_, request.method, request.deadline);
    channel_.before_start();
    grpc_request_headers headers(request.headers, request.previous_attempts, previous_);
    std::array<grpc_op, 4> ops{};
    std::size_t count = 0;
    grpc_op& first = ops[count++];
    first.op = GRPC_OP_SEND_INITIAL_METADATA;
    first.data.send_initial_metadata.count = headers.size();
    first.data.send_initial_metadata.metadata = headers.data();
    if (sends_first) {
      share_into(sending_, request.payload);
      ops[count].op = GRPC_OP_SEND_MESSAGE;
      ops[count++].data.send_message.send_message = &sending_;
      ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    }
    grpc_op& last = ops[count++];
    last.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    last.data.recv_status_on_client.trailing_metadata = &trailing_;
    last.data.recv_status_on_client.status = &code_;
    last.data.recv_status_on_client.status_details = &details_;
    start_batch(over_, ops.data(), count);
    if (!loop_.stopping()) ask_for_headers();
  }

  void read() override {
    grpc_op one{};
    one.op = GRPC_OP_RECV_MESSAGE;
    one.data.recv_message.recv_message = &received_;
    start_batch(got_, &one, 1);
  }

  void write(message&& payload, write_mode how) override {
    if (exceeds(payload.size(), limits_.request)) {
      by_limit = true;
      cut_off(status_code::resource_exhausted, larger_than_max("Sent", payload.size(), limits_.request));
      return fail_write();
    }
    // what was sent before is empty, unless the call had ended
    grpc_slice_buffer_reset_and_unref(&sending_.data.raw.slice_buffer);
    sending_.data.raw.compression = GRPC_COMPRESS_NONE;
    share_into(sending_, payload);
    std::array<grpc_op, 2> ops{};
    ops[0].op = GRPC_OP_SEND_MESSAGE;
    ops[0].flags = how.more ? GRPC_WRITE_BUFFER_HINT : 0;
    ops[0].data.send_message.send_message = &sending_;
    ops[1].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    channel_.before_start();
    start_batch(wrote_, ops.data(), how.last ? 2 : 1);
  }

  void half_close() override {
    grpc_op one{};
    one.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    channel_.before_start();
    start_batch(wrote_, &one, 1);
  }

  void cancel() noexcept override {
    cancelled_ = true;
    call_.cancel();
  }

  void release() noexcept override {
    loop& on = loop_;
    this->~grpc_stream_attempt();
    on.deallocate(this, sizeof(grpc_stream_attempt));
  }

  std::string peer() const override { return call_.peer(); }

 private:
  ~grpc_stream_attempt() {
    grpc_metadata_array_destroy(&initial_);
    grpc_metadata_array_destroy(&trailing_);
    grpc_slice_unref(details_);
    grpc_slice_buffer_destroy(&sending_.data.raw.slice_buffer);
    if (received_ != nullptr) grpc_byte_buffer_destroy(received_);
  }

  template <class Batch>
  void start_batch(Batch& of, grpc_op const* ops, std::size_t count) {
    ++outstanding_;
    if (!call_) return loop_.schedule(of.back);  // it was refused
    loop_.start(of.back, op_kind::call, path_, [&](void*) {
      grpc_call_error const error = grpc_call_start_batch(
          call_.get(), ops, count, static_cast<grpc::internal::CompletionQueueTag*>(&of), nullptr);
      MILLRACE_CHECK(error == GRPC_CALL_OK);
    });
  }

  void ask_for_headers() {
    grpc_op one{};
    one.op = GRPC_OP_RECV_INITIAL_METADATA;
    one.data.recv_initial_metadata.recv_initial_metadata = &initial_;
    start_batch(headers_, &one, 1);
  }

  // the request is too large, so there is no call
  void refuse(std::size_t size) {
    by_limit = true;
    own_ = {status_code::resource_exhausted, larger_than_max("Sent", size, limits_.request), {}};
    ++outstanding_;
    loop_.schedule(over_.back);
  }

  void fail_write() {
    write_failed_ = true;
    ++outstanding_;
    loop_.schedule(wrote_.back);
  }

  // ends the call with a status of this side's
  void cut_off(status_code code, std::string const& why) noexcept {
    cancelled_ = true;
    grpc_call_cancel_with_status(call_.get(), static_cast<grpc_status_code>(code), why.c_str(), nullptr);
  }

  // the wire gives room for all it received, which an answer without headers has none of (see grpc_transport.cpp)
  bool headers_came() const noexcept { return initial_.capacity > 1; }

  void on_headers(completion how) {
    if (how != completion::abandoned && headers_came()) {
      headers = view(initial_);
      listener_.on_headers();
    }
    one_back();
  }

  void on_got(completion how) {
    message one = adopt(std::exchange(received_, nullptr));
    if (how != completion::abandoned || !loop_.ending()) listener_.on_got(acceptable(std::move(one)));
    one_back();
  }

  message acceptable(message&& one) {
    // no minimal stack can read it, and no server may send it unasked
    if (core_of(one) != nullptr && core_of(one)->data.raw.compression != GRPC_COMPRESS_NONE) {
      return refused({status_code::internal, "the response is compressed, which was not asked for", {}});
    }
    if (exceeds(one.size(), limits_.response)) {
      by_limit = true;
      return refused({status_code::resource_exhausted, larger_than_max("Received", one.size(), limits_.response), {}});
    }
    return std::move(one);
  }

  // the server's status may be here already, which would let the stream end well without the message
  message refused(status&& why) {
    own_ = std::move(why);
    cancel();
    return {};
  }

  void on_wrote(completion how) {
    bool const ok = how == completion::ok && !std::exchange(write_failed_, false);
    if (how != completion::abandoned || !loop_.ending()) listener_.on_wrote(ok);
    one_back();
  }

  void on_over(completion how) {
    how_ = how;
    one_back();
  }

  // trap T18: the attempt lives until the last of its tags is back
  void one_back() {
    if (--outstanding_ > 0) return;
    if (how_ != completion::abandoned) take_result();
    listener_.on_over(how_);  // its call frees it
  }

  void take_result() {
    trailers = view(trailing_);
    committed = headers_came() || by_limit;
    if (!own_.ok()) {
      result = std::move(own_);
      committed = true;
      return;
    }
    result.code = code_ >= 0 && code_ < status_code_count ? static_cast<status_code>(code_) : status_code::unknown;
    if (result.ok()) return;
    result.message = std::string(view(details_));
    result.details = trailers.find("grpc-status-details-bin").value_or(std::string_view{});
    never_left = call_ && !committed && !call_.reached_a_connection();
    if (!cancelled_ && !committed && dropped_by_server(result)) {
      result = {status_code::unavailable, "the server ended the call unanswered, as it does when it shuts down", {}};
    }
  }

  loop& loop_;
  grpc_channel& channel_;
  std::string_view path_;
  stream_listener& listener_;
  message_limits const limits_;
  grpc_call_handle call_;
  std::uint32_t outstanding_ = 0;
  bool cancelled_ = false;  // by this side
  bool write_failed_ = false;
  completion how_ = completion::ok;
  grpc_metadata_array initial_{};
  grpc_metadata_array trailing_{};
  grpc_byte_buffer sending_{};
  grpc_byte_buffer* received_ = nullptr;
  grpc_status_code code_ = GRPC_STATUS_UNKNOWN;
  grpc_slice details_ = grpc_empty_slice();
  status own_;  // of this side's, in place of the server's
  std::array<char, 12> previous_{};
  batch<&grpc_stream_attempt::on_over> over_{*this};
  batch<&grpc_stream_attempt::on_headers> headers_{*this};
  batch<&grpc_stream_attempt::on_got> got_{*this};
  batch<&grpc_stream_attempt::on_wrote> wrote_{*this};
};

}  // namespace

stream_attempt* start_grpc_stream(loop& on, attempt_request const& request, stream_listener& listener) {
  auto* const one = ::new (on.allocate(sizeof(grpc_stream_attempt))) grpc_stream_attempt(on, request, listener);
  one->start(request);
  return one;
}

}  // namespace millrace
