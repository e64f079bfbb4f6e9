// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <fmt/format.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <stdexcept>

namespace millrace::echo {
namespace {

using namespace std::chrono_literals;

// calls that wait to be called, so that a burst need not wait for one RequestCall after the other
constexpr int accept_ahead = 64;

constexpr auto stop_grace = 1s;

}  // namespace

server::server(options const& wanted)
    : fail_rate_(wanted.fail_rate),
      status_(static_cast<grpc::StatusCode>(wanted.status)),
      delay_(wanted.delay),
      random_(wanted.seed) {
  grpc::EnableDefaultHealthCheckService(true);
  auto const asked = fmt::format("{}:{}", wanted.host, wanted.port);
  int port = 0;
  grpc::ServerBuilder builder;
  // with SO_REUSEPORT two servers could share a port, and neither would know
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(asked, grpc::InsecureServerCredentials(), &port);
  builder.RegisterAsyncGenericService(&service_);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    throw std::runtime_error(fmt::format("cannot listen on {}: is the port taken, or the address not ours?", asked));
  }
  address_ = fmt::format("{}:{}", wanted.host, port);
  server_->GetHealthCheckService()->SetServingStatus(true);
}

void server::run() {
  for (int i = 0; i < accept_ahead; ++i) accept();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    static_cast<event*>(tag)->complete(ok);
    // no operation may start on a queue that is shut down, so it goes when the last call is gone
    if (closing_ && live_ == 0) {
      closing_ = false;
      queue_->Shutdown();
    }
  }
}

void server::stop() {
  server_->GetHealthCheckService()->Shutdown();
  hurry_.send(*queue_);
  server_->Shutdown(std::chrono::system_clock::now() + stop_grace);
  close_.send(*queue_);
}

void server::errand::send(grpc::CompletionQueue& queue) { alarm_.Set(&queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), this); }

void server::accept() {
  if (hurrying_) return;
  ++live_;
  new call(*this);
}

void server::accept_next() {
  arrived_.store(arrived() + 1, std::memory_order_relaxed);
  accept();
}

void server::request(grpc::GenericServerContext& context, grpc::GenericServerAsyncReaderWriter& stream, event* tag) {
  service_.RequestCall(&context, &stream, queue_.get(), queue_.get(), tag);
}

void server::delay(call& which, grpc::Alarm& alarm) {
  delayed_.push_back(which);
  alarm.Set(queue_.get(), std::chrono::system_clock::now() + delay_, static_cast<event*>(&which));
}

std::optional<grpc::StatusCode> server::draw_failure() noexcept {
  if (fail_rate_ <= 0 || random_.uniform() >= fail_rate_) return std::nullopt;
  ++failed_;
  return status_;
}

void server::finished(bool answered) noexcept {
  --live_;
  if (answered) ++served_;
}

void server::hurry() {
  hurrying_ = true;
  delayed_.for_each([](call& each) { each.hurry(); });
}

void server::close() { closing_ = true; }

}  // namespace millrace::echo
