// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <echo.grpc.pb.h>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace millrace::test {

/// A real gRPC server of echo.proto on loopback, in threads of its own.
class echo_server final : private millrace::echo::Echo::Service {
 public:
  /// Port 0 picks a free one.
  explicit echo_server(int port = 0,
                       std::shared_ptr<grpc::ServerCredentials> const& credentials = grpc::InsecureServerCredentials())
      : echo_server("127.0.0.1:" + std::to_string(port), credentials) {}

  /// At `host:port` or `unix:/path`.
  explicit echo_server(std::string const& at, std::shared_ptr<grpc::ServerCredentials> const& credentials =
                                                  grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(at, credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~echo_server() override { stop(); }

  /// Cuts every connection and call off.
  void stop() {
    if (server_ == nullptr) return;
    stopping_ = true;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  /// Null unless grpc::EnableDefaultHealthCheckService(true) came before.
  grpc::HealthCheckServiceInterface* health() const { return server_->GetHealthCheckService(); }

  bool running() const { return server_ != nullptr; }
  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }

  /// What the last call had under `key`, comma-separated.
  std::string last_sent(std::string const& key) const {
    std::lock_guard const lock(mutex_);
    std::string all;
    auto const [begin, end] = last_metadata_.equal_range(key);
    for (auto one = begin; one != end; ++one) all += (all.empty() ? "" : ",") + one->second;
    return all;
  }

  /// The names of all the last call had.
  std::set<std::string> last_keys() const {
    std::lock_guard const lock(mutex_);
    std::set<std::string> all;
    for (auto const& [key, value] : last_metadata_) all.insert(key);
    return all;
  }

  /// The client sockets that calls came from.
  std::size_t connections() const {
    std::lock_guard const lock(mutex_);
    return peers_.size();
  }

 private:
  grpc::Status Say(grpc::ServerContext* context, millrace::echo::EchoRequest const* request,
                   millrace::echo::EchoReply* reply) override {
    ++calls_;
    {
      std::lock_guard const lock(mutex_);
      peers_.insert(context->peer());
      last_metadata_.clear();
      for (auto const& [key, value] : context->client_metadata()) {
        last_metadata_.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
      }
    }
    int const previous = previous_attempts(*context);
    if (request->headers_first()) {
      context->AddInitialMetadata("x-headers", "first");
    }
    if (auto const at = context->client_metadata().find("x-trailer-bin"); at != context->client_metadata().end()) {
      context->AddTrailingMetadata("x-trailer-bin", {at->second.data(), at->second.size()});
    }
    if (!request->pushback().empty()) context->AddTrailingMetadata("grpc-retry-pushback-ms", request->pushback());
    auto const until = std::chrono::steady_clock::now() + std::chrono::milliseconds(request->delay_ms());
    while (std::chrono::steady_clock::now() < until && !context->IsCancelled() && !stopping_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    bool const well_now = request->ok_after_attempts() > 0 && previous >= request->ok_after_attempts();
    if (request->code() != 0 && !well_now) {
      return {static_cast<grpc::StatusCode>(request->code()), "as requested", last_sent("x-details-bin")};
    }
    reply->set_text(request->text());
    reply->set_previous_attempts(previous);
    reply->set_time_left_ms(time_left(*context));
    return grpc::Status::OK;
  }

  static int previous_attempts(grpc::ServerContext const& context) {
    auto const at = context.client_metadata().find("grpc-previous-rpc-attempts");
    return at == context.client_metadata().end() ? 0 : std::stoi(std::string(at->second.data(), at->second.size()));
  }

  static std::int64_t time_left(grpc::ServerContext const& context) {
    auto const left = context.deadline() - std::chrono::system_clock::now();
    return left > std::chrono::hours(24) ? -1 : std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<int> calls_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::set<std::string> peers_;
  std::multimap<std::string, std::string> last_metadata_;
};

}  // namespace millrace::test
