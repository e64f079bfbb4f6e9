// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <talk.grpc.pb.h>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace millrace::test {

/// A real gRPC server of talk.proto on loopback, in threads of its own.
class talk_server final : private talk::Talk::Service {
 public:
  /// Port 0 picks a free one.
  explicit talk_server(
      int port = 0, std::shared_ptr<grpc::ServerCredentials> const& credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // the same windows on every machine and day
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~talk_server() override { stop(); }

  /// Cuts every connection and call off.
  void stop() {
    if (server_ == nullptr) return;
    let_go();
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  /// Calls that are held, or will be, are answered.
  void let_go() {
    {
      std::lock_guard const lock(mutex_);
      holding_ = false;
    }
    changed_.notify_all();
  }

  /// Unless the request says how it is to end, `Say` ends like this from now on.
  void end_with(grpc::StatusCode code) { code_ = code; }

  /// gRPC's own health service; only if grpc::EnableDefaultHealthCheckService was called before.
  grpc::HealthCheckServiceInterface& health() { return *server_->GetHealthCheckService(); }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Calls of any kind so far, and those that are held now.
  int calls() const { return calls_; }
  int held() const { return held_; }

  /// What the last call came with.
  std::string last_authority() const { return locked(authority_); }
  std::string last_sent(std::string const& key) const {
    std::lock_guard const lock(mutex_);
    auto const found = sent_.find(key);
    return found != sent_.end() ? found->second : std::string();
  }

 private:
  using Line = talk::Line;

  std::string locked(std::string const& value) const {
    std::lock_guard const lock(mutex_);
    return value;
  }

  void note(grpc::ServerContext& context) {
    context.AddInitialMetadata("served-by", "talk");
    context.AddTrailingMetadata("call", std::to_string(++calls_));
    std::lock_guard const lock(mutex_);
    authority_ = std::string(context.ExperimentalGetAuthority().data(), context.ExperimentalGetAuthority().size());
    sent_.clear();
    for (auto const& [key, value] : context.client_metadata()) {
      sent_[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
    }
  }

  void hold() {
    std::unique_lock lock(mutex_);
    ++held_;
    changed_.wait(lock, [this] { return !holding_; });
    --held_;
  }

  grpc::Status Say(grpc::ServerContext* context, Line const* request, Line* reply) override {
    note(*context);
    if (request->hold()) hold();
    if (request->code() != 0) return as_requested(*request);
    if (code_ != grpc::StatusCode::OK) return {code_, "as always"};
    reply->set_text(request->text());
    return grpc::Status::OK;
  }

  static grpc::Status as_requested(Line const& one) {
    return {static_cast<grpc::StatusCode>(one.code()), "as requested", "details"};
  }

  // holds what asks for it; the status when there is one to end with
  std::optional<grpc::Status> obey(Line const& one) {
    if (one.hold()) hold();
    if (one.code() == 0) return std::nullopt;
    return as_requested(one);
  }

  grpc::Status Collect(grpc::ServerContext* context, grpc::ServerReader<Line>* lines, Line* reply) override {
    note(*context);
    for (Line one; lines->Read(&one);) {
      if (auto const end = obey(one)) return *end;
      if (one.times() < 0) {
        reply->set_times(reply->times() + 1);
      } else {
        reply->mutable_text()->append(one.text());
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status Repeat(grpc::ServerContext* context, Line const* request, grpc::ServerWriter<Line>* lines) override {
    note(*context);
    if (request->hold()) hold();
    for (int time = 0; time < request->times() && lines->Write(*request); ++time) {
    }
    if (request->code() != 0) return as_requested(*request);
    return grpc::Status::OK;
  }

  grpc::Status Chat(grpc::ServerContext* context, grpc::ServerReaderWriter<Line, Line>* lines) override {
    note(*context);
    for (Line one; lines->Read(&one);) {
      if (auto const end = obey(one)) return *end;
      if (one.times() >= 0) lines->Write(one);
    }
    return grpc::Status::OK;
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<int> calls_ = 0;
  std::atomic<int> held_ = 0;
  std::atomic<grpc::StatusCode> code_ = grpc::StatusCode::OK;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool holding_ = true;
  std::string authority_;
  std::map<std::string, std::string> sent_;
};

}  // namespace millrace::test
