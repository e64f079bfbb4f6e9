// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/grpc_health.hpp>

#include <millrace/health/health_message.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/grpc_time.hpp>

#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <string>
#include <utility>

namespace millrace {
namespace {

grpc::ByteBuffer to_buffer(std::string const& bytes) {
  grpc::Slice const slice(bytes);
  return {&slice, 1};
}

std::optional<health::serving_status> read(grpc::ByteBuffer const& from) {
  grpc::Slice whole;
  if (!from.DumpToSingleSlice(&whole).ok()) return std::nullopt;
  return health::decode_health_response({reinterpret_cast<char const*>(whole.begin()), whole.size()});
}

status to_status(grpc::Status const& from) {
  int const code = from.error_code();
  bool const known = code >= 0 && code < status_code_count;
  return {known ? static_cast<status_code>(code) : status_code::unknown, from.error_message(), {}};
}

/// One operation after the other: send the question, read answers, and the status at the end. A Check is a Watch that has one
/// answer, which counts when the status is OK.
class grpc_health_call final : public health_call {
 public:
  grpc_health_call(loop& on, std::string_view endpoint, bool watch, health_listener& listener)
      : loop_(on), endpoint_(endpoint), watch_(watch), listener_(&listener) {}

  void start(std::shared_ptr<grpc::Channel> const& channel, health_question const& question) {
    step_ = step::sending;
    loop_.start(back_, op_kind::health, endpoint_, [&](void* tag) {
      // corked, so that starting it is no operation of its own
      context_.set_initial_metadata_corked(true);
      if (question.until != never) context_.set_deadline(to_timespec(question.until));
      call_ = grpc::GenericStub(channel).PrepareCall(
          &context_, watch_ ? "/grpc.health.v1.Health/Watch" : "/grpc.health.v1.Health/Check",
          &completion_queue(loop_));
      call_->StartCall(nullptr);
      call_->WriteLast(to_buffer(health::encode_health_request(question.service)), {}, tag);
    });
  }

  void orphan() noexcept override {
    listener_ = nullptr;
    if (!back_.outstanding()) {
      delete this;
    } else if (call_ != nullptr) {
      context_.TryCancel();
    }
  }

 private:
  enum class step { sending, reading, finishing };

  ~grpc_health_call() = default;

  void on_back(completion how) {
    // gRPC cancels what is left of a call whose context goes
    if (listener_ == nullptr) return delete this;
    if (how == completion::abandoned) return;  // whoever asked will orphan it
    switch (step_) {
      case step::sending: return how == completion::ok ? read_next() : finish();
      case step::reading: return how == completion::ok ? on_message() : finish();
      case step::finishing: return on_finished();
    }
  }

  void read_next() {
    step_ = step::reading;
    loop_.start(back_, op_kind::health, endpoint_, [&](void* tag) { call_->Read(&message_, tag); });
  }

  void finish() {
    step_ = step::finishing;
    loop_.start(back_, op_kind::health, endpoint_, [&](void* tag) { call_->Finish(&status_, tag); });
  }

  void on_message() {
    answer_ = read(message_);
    if (!answer_) {
      malformed_ = true;
      context_.TryCancel();
    }
    if (!watch_ || malformed_) return finish();
    // first, because the listener may orphan it
    read_next();
    listener_->on_answered(*answer_);
  }

  void on_finished() {
    status end = to_status(status_);
    if (malformed_) end = {status_code::internal, "the answer is not a HealthCheckResponse", {}};
    if (end.ok() && !watch_ && !answer_) end = {status_code::internal, "no answer", {}};
    auto const answer = answer_;
    bool const answered = end.ok() && !watch_;
    health_listener* const listener = listener_;
    delete this;
    answered ? listener->on_answered(*answer) : listener->on_ended(end);
  }

  loop& loop_;
  std::string const endpoint_;  // for the ledger, even when the channel is gone
  bool const watch_;
  health_listener* listener_;
  step step_{};
  bool malformed_ = false;
  std::optional<health::serving_status> answer_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer message_;
  grpc::Status status_;
  tag<&grpc_health_call::on_back> back_{*this};
};

}  // namespace

health_call* start_health_call(loop& on, std::shared_ptr<grpc::Channel> const& channel, std::string_view endpoint,
                               health_question const& question, health_listener& listener) {
  auto* const one = new grpc_health_call(on, endpoint, question.watch, listener);
  one->start(channel, question);
  return one;
}

}  // namespace millrace
