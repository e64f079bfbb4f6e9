// SPDX-License-Identifier: Apache-2.0
// A gRPC call of one's own on a connection of the pool. usage: lease [HOST:PORT]
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/pool.hpp>

#include <fmt/core.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>

using namespace std::chrono_literals;

// [call]
// lives until its tag is back
class own_call {
 public:
  own_call(millrace::loop& on, millrace::lease with) : loop_(on), lease_(std::move(with)) {}

  void start() {
    loop_.start(done_, millrace::op_kind::user, "own call", [this](void* tag) {
      grpc::GenericStub stub(grpc_channel_of(lease_));
      context_.set_deadline(std::chrono::system_clock::now() + 2s);
      reader_ = stub.PrepareUnaryCall(&context_, "/millrace.echo.Echo/Say", request_, &completion_queue(loop_));
      reader_->StartCall();
      reader_->Finish(&response_, &status_, tag);
    });
  }

 private:
  void on_done(millrace::completion how) {
    std::unique_ptr<own_call> const self(this);
    if (how == millrace::completion::abandoned) return;
    lease_.release(static_cast<millrace::status_code>(status_.error_code()));  // the picker learns how it went
    fmt::print("own call: {}, {} bytes\n", status_.ok() ? "OK" : status_.error_message(), response_.Length());
  }

  millrace::loop& loop_;
  millrace::lease lease_;
  grpc::Slice text_{"\x0a\x05hello"};
  grpc::ByteBuffer request_{&text_, 1};
  grpc::ByteBuffer response_;
  grpc::ClientContext context_;
  grpc::Status status_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  millrace::tag<&own_call::on_done> done_{*this};
};
// [end]

int main(int argc, char** argv) {
  millrace::loop loop;
  // [pool]
  // gRPC enforces the deadlines of calls that the engine does not make
  millrace::pool pool{loop, {.target = argc > 1 ? argv[1] : "localhost:50051", .minimal_stack = false}};
  // [end]
  // [acquire]
  pool.async_acquire({.timeout = 2s}, [&](millrace::error_code error, millrace::lease lease) {
    if (error) return fmt::print("no lease: {}\n", error.message());
    fmt::print("leased slot {} of {}\n", lease.slot_number(), lease.endpoint());
    (new own_call(loop, std::move(lease)))->start();
  });
  // [end]
  loop.run();
}
