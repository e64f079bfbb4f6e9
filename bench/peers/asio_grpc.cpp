// SPDX-License-Identifier: Apache-2.0
#include "stub.hpp"

#include <agrpc/client_rpc.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::peers {
namespace {

namespace asio = boost::asio;

// as asio-grpc's own example has it: example/hello-world-client.cpp
class asio_grpc_client {
 public:
  asio_grpc_client(work const& task, meter& measure)
      : task_(task), measure_(measure), stub_(connected_stub(task)), request_(request_of(task)) {}

  void run() {
    for (unsigned lane = 0; lane < task_.in_flight; ++lane) asio::co_spawn(context_, make_calls(), asio::detached);
    context_.run();
  }

 private:
  using say = agrpc::ClientRPC<&Echo::Stub::PrepareAsyncSay>;

  asio::awaitable<void> make_calls() {
    for (auto began = measure_.begin(); began;) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + call_timeout);
      EchoReply reply;
      grpc::Status const status =
          co_await say::request(context_, *stub_, context, request_, reply, asio::use_awaitable);
      began = judge(measure_, *began, task_, status, reply);
    }
  }

  work const& task_;
  meter& measure_;
  std::unique_ptr<Echo::Stub> stub_;
  EchoRequest const request_;
  agrpc::GrpcContext context_;
};

}  // namespace

void run_asio_grpc(work const& task, meter& measure) { asio_grpc_client(task, measure).run(); }

}  // namespace millrace::peers
