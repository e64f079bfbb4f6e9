// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <millrace/loop/cq_port.hpp>

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>

#include <chrono>
#include <stdexcept>

namespace millrace::echo {
namespace {

using namespace std::chrono_literals;

// calls that wait to be called, so that a burst need not wait for one RequestCall after the other
constexpr int accept_ahead = 64;

constexpr auto stop_grace = 1s;

constexpr auto echo_service = "millrace.echo.Echo";  // of proto/echo/echo.proto

std::shared_ptr<grpc::ServerCredentials> credentials_of(options const& wanted) {
  if (wanted.tls_key.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({wanted.tls_key, wanted.tls_certificate});
  return grpc::SslServerCredentials(tls);
}

int milliseconds(std::chrono::nanoseconds value) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(value).count());
}

void limit(grpc::ServerBuilder& builder, options const& wanted) {
  if (auto const age = wanted.max_connection_age) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, milliseconds(*age));
  }
  if (auto const grace = wanted.max_connection_age_grace) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, milliseconds(*grace));
  }
  if (auto const most = wanted.max_streams) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(*most));
  }
}

}  // namespace

server::server(options const& wanted, grpc::ServerBuilder&& builder)
    : fail_rate_(wanted.fail_rate),
      status_(static_cast<grpc::StatusCode>(wanted.status)),
      delay_(wanted.delay),
      tail_share_(wanted.tail_share),
      tail_delay_(wanted.tail_delay),
      random_(wanted.seed),
      loop_(std::make_unique<cq_port>(builder.AddCompletionQueue())),
      queue_(static_cast<grpc::ServerCompletionQueue&>(completion_queue(loop_))) {
  grpc::EnableDefaultHealthCheckService(true);
  auto const asked = fmt::format("{}:{}", wanted.host, wanted.port);
  int port = 0;
  // with SO_REUSEPORT two servers could share a port, and neither would know
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(-1);
  limit(builder, wanted);
  builder.AddListeningPort(asked, credentials_of(wanted), &port);
  builder.RegisterAsyncGenericService(&service_);
  if (wanted.cork) cork_.install(builder);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    throw std::runtime_error(fmt::format("cannot listen on {}: is the port taken, or the address not ours?", asked));
  }
  address_ = fmt::format("{}:{}", wanted.host, port);
  if (wanted.health) server_->GetHealthCheckService()->SetServingStatus(echo_service, true);
  server_->GetHealthCheckService()->SetServingStatus(true);
}

void server::run() {
  for (int i = 0; i < accept_ahead; ++i) accept();
  // as long as a call exists, those that wait to be called included
  loop_.run();
}

void server::stop() {
  server_->GetHealthCheckService()->Shutdown();
  boost::asio::post(loop_, [this] { hurry(); });
  server_->Shutdown(std::chrono::system_clock::now() + stop_grace);
}

bool server::flip_health() {
  serving_ = !serving_;
  // of the whole and of each name it was given
  server_->GetHealthCheckService()->SetServingStatus(serving_);
  return serving_;
}

void server::accept() {
  if (!hurrying_) new call(*this);
}

void server::accept_next() {
  arrived_.store(arrived() + 1, std::memory_order_relaxed);
  accept();
}

void server::request(grpc::GenericServerContext& context, grpc::GenericServerAsyncReaderWriter& stream, void* tag) {
  service_.RequestCall(&context, &stream, &queue_, &queue_, tag);
}

std::chrono::nanoseconds server::draw_delay() noexcept {
  if (hurrying_) return {};
  bool const late = tail_share_ > 0 && random_.uniform() < tail_share_;
  return late ? delay_ + tail_delay_ : delay_;
}

void server::delay(call& which, timer& until, std::chrono::nanoseconds by) {
  delayed_.push_back(which);
  loop_.arm(until, saturating_add(loop_.now(), by));
}

std::optional<grpc::StatusCode> server::draw_failure() noexcept {
  if (fail_rate_ <= 0 || random_.uniform() >= fail_rate_) return std::nullopt;
  ++failed_;
  return status_;
}

void server::hurry() {
  hurrying_ = true;
  delayed_.for_each([](call& each) { each.hurry(); });
}

}  // namespace millrace::echo
