// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/grpc_transport.hpp>

#include <millrace/call/grpc_stream.hpp>
#include <millrace/call/impl/grpc_call.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>

#include <grpc/byte_buffer.h>
#include <grpcpp/impl/codegen/completion_queue_tag.h>

#include <array>
#include <new>
#include <string_view>

namespace millrace {

using namespace impl;

class grpc_transport::grpc_attempt final : public unary_attempt, public grpc::internal::CompletionQueueTag {
 public:
  grpc_attempt(grpc_transport& by, bound<void(completion)> done) noexcept
      : transport_(by), loop_(by.loop_), done_(done), trailing_(by.take_spare()) {
    grpc_metadata_array_init(&initial_);
    sending_.type = GRPC_BB_RAW;
    grpc_slice_buffer_init(&sending_.data.raw.slice_buffer);
  }

  void start(attempt_request const& request) {
    auto& channel = static_cast<grpc_channel&>(request.channel);
    limits_ = channel.limits();
    if (exceeds(request.payload.size(), limits_.request)) return refuse(request.payload.size());
    call_.make(channel, request.method, request.deadline);
    channel.before_start();
    loop_.start(back_, op_kind::call, request.method.path(), [&](void*) { start_batch(request); });
  }

  void cancel() noexcept override {
    cancelled_ = true;
    call_.cancel();
  }

  std::string peer() const override { return call_.peer(); }

  void release() noexcept override {
    loop& on = loop_;
    this->~grpc_attempt();
    on.deallocate(this, sizeof(grpc_attempt));
  }

  // gRPC asks its C++ tags what to hand to Next
  bool FinalizeResult(void** tag, bool*) override {
    *tag = back_.as_tag();
    return true;
  }

 private:
  ~grpc_attempt() {
    grpc_metadata_array_destroy(&initial_);
    transport_.keep_spare(trailing_);
    grpc_slice_unref(details_);
    grpc_slice_buffer_destroy(&sending_.data.raw.slice_buffer);
    // still here when the loop ended before it could be handed over
    if (received_ != nullptr) grpc_byte_buffer_destroy(received_);
  }

  void start_batch(attempt_request const& request) {
    grpc_request_headers headers(request.headers, request.previous_attempts, previous_);
    share_into(sending_, request.payload);

    std::array<grpc_op, 6> ops{};
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = headers.size();
    ops[0].data.send_initial_metadata.metadata = headers.data();
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = &sending_;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial_;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &received_;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing_;
    ops[5].data.recv_status_on_client.status = &code_;
    ops[5].data.recv_status_on_client.status_details = &details_;
    grpc_call_error const error = grpc_call_start_batch(
        call_.get(), ops.data(), ops.size(), static_cast<grpc::internal::CompletionQueueTag*>(this), nullptr);
    MILLRACE_CHECK(error == GRPC_CALL_OK);
  }

  void on_back(completion how) {
    if (how == completion::abandoned) {
      auto const done = done_;
      return done(how);  // its call frees it
    }
    response = adopt(received_);
    received_ = nullptr;
    headers = view(initial_);
    trailers = view(trailing_);
    result.code = code_ >= 0 && code_ < status_code_count ? static_cast<status_code>(code_) : status_code::unknown;
    if (result.code == status_code::ok && response.empty())
      result = {status_code::internal, "No message returned for unary request", {}};
    if (!result.ok()) explain_failure();
    // no minimal stack can read it, and no server may send it unasked
    if (core_of(response) != nullptr && core_of(response)->data.raw.compression != GRPC_COMPRESS_NONE) {
      result = {status_code::internal, "the response is compressed, which was not asked for", {}};
      response = {};
      committed = true;
    }
    if (exceeds(response.size(), limits_.response)) {
      result = {status_code::resource_exhausted, larger_than_max("Received", response.size(), limits_.response), {}};
      response = {};
      by_limit = true;
    }
    if (by_limit) committed = true;
    done_(how);
  }

  void refuse(std::size_t size) {
    code_ = GRPC_STATUS_RESOURCE_EXHAUSTED;
    result.message = larger_than_max("Sent", size, limits_.request);
    by_limit = true;
    loop_.schedule(back_);
  }

  void explain_failure() {
    if (GRPC_SLICE_LENGTH(details_) > 0) result.message = view(details_);
    result.details = trailers.find("grpc-status-details-bin").value_or(std::string_view{});
    response = {};
    // gRPC makes room for all it received before it leaves out what is not for the application: the peer's name, which it adds
    // itself even to a Trailers-Only answer, and content-type, which every Response-Headers has
    // (docs/design/0004-what-never-left.md; test/live/commit_test.cpp)
    committed = initial_.capacity > 1;
    never_left = call_ && !committed && !call_.reached_a_connection();
    if (!cancelled_ && !committed && dropped_by_server(result)) {
      result = {status_code::unavailable, "the server ended the call unanswered, as it does when it shuts down", {}};
    }
  }

  grpc_transport& transport_;
  loop& loop_;
  bound<void(completion)> done_;
  grpc_call_handle call_;
  message_limits limits_;
  bool cancelled_ = false;  // by this side
  grpc_metadata_array initial_{};
  grpc_metadata_array trailing_;
  grpc_byte_buffer sending_{};
  grpc_byte_buffer* received_ = nullptr;
  grpc_status_code code_ = GRPC_STATUS_UNKNOWN;
  grpc_slice details_ = grpc_empty_slice();
  std::array<char, 12> previous_{};
  tag<&grpc_attempt::on_back> back_{*this};
};

grpc_transport::grpc_transport(loop& on) : loop_(on) {
  static_cast<void>(completion_queue(on));
  spares_.reserve(most_spares);
}

grpc_transport::~grpc_transport() {
  for (grpc_metadata_array& one : spares_) grpc_metadata_array_destroy(&one);
}

// gRPC allocates room for metadata anew for each call, and keeps what it is given if that is large enough. For the headers it
// must be new: that they came is seen by their room (explain_failure)
grpc_metadata_array grpc_transport::take_spare() noexcept {
  if (spares_.empty()) return {};
  grpc_metadata_array const one = spares_.back();
  spares_.pop_back();
  return one;
}

void grpc_transport::keep_spare(grpc_metadata_array one) noexcept {
  one.count = 0;
  if (one.capacity > most_kept || spares_.size() == spares_.capacity()) return grpc_metadata_array_destroy(&one);
  spares_.push_back(one);
}

unary_attempt* grpc_transport::start(attempt_request const& request, bound<void(completion)> done) {
  auto* const one = ::new (loop_.allocate(sizeof(grpc_attempt))) grpc_attempt(*this, done);
  one->start(request);
  return one;
}

stream_attempt* grpc_transport::open(attempt_request const& request, stream_listener& listener) {
  return start_grpc_stream(loop_, request, listener);
}

}  // namespace millrace
