// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <fmt/format.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace millrace::streams {
namespace {

/// Sends the first message again and again.
class flood final : public grpc::ServerGenericBidiReactor {
 public:
  flood() { StartRead(&message_); }
  void OnReadDone(bool ok) override { ok ? write() : Finish(grpc::Status::OK); }
  void OnWriteDone(bool ok) override { ok ? write() : Finish(grpc::Status::OK); }
  void OnDone() override { delete this; }

 private:
  void write() {
    copy_ = message_;
    StartWrite(&copy_);
  }
  grpc::ByteBuffer message_;
  grpc::ByteBuffer copy_;
};

class drain final : public grpc::ServerGenericBidiReactor {
 public:
  drain() { StartRead(&message_); }
  void OnReadDone(bool ok) override { ok ? StartRead(&message_) : Finish(grpc::Status::OK); }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class echo final : public grpc::ServerGenericBidiReactor {
 public:
  echo() { StartRead(&message_); }
  void OnReadDone(bool ok) override { ok ? StartWrite(&message_) : Finish(grpc::Status::OK); }
  void OnWriteDone(bool ok) override { ok ? StartRead(&message_) : Finish(grpc::Status::OK); }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class service final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    if (context->method() == "/streams/down") return new flood;
    if (context->method() == "/streams/up") return new drain;
    return new echo;
  }
};

}  // namespace

void serve() {
  service all;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&all);
  auto const server = builder.BuildAndStart();
  fmt::print("listening on 127.0.0.1:{}\n", port);
  std::fflush(stdout);
  server->Wait();
  std::exit(0);
}

}  // namespace millrace::streams
