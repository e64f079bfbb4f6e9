// SPDX-License-Identifier: Apache-2.0
#include "pooled.hpp"
#include "stub.hpp"

#include <grpcpp/completion_queue.h>

namespace millrace::peers {
namespace {

struct async_call {
  explicit async_call(time_point at) : began(at) {}

  time_point began;
  grpc::ClientContext context;
  EchoReply reply;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoReply>> reader;
};

void start(Echo::Stub& stub, EchoRequest const& request, grpc::CompletionQueue& queue, time_point began) {
  auto* const call = new async_call(began);
  call->context.set_deadline(std::chrono::system_clock::now() + call_timeout);
  call->reader = stub.PrepareAsyncSay(&call->context, request, &queue);
  call->reader->StartCall();
  call->reader->Finish(&call->reply, &call->status, call);
}

// as gRPC's own example has it: examples/cpp/helloworld/greeter_async_client2.cc
void run_on(Echo::Stub& stub, work const& task, meter& measure) {
  EchoRequest const request = request_of(task);
  grpc::CompletionQueue queue;
  unsigned running = 0;
  for (unsigned lane = 0; lane < task.in_flight; ++lane) {
    auto const begin = measure.begin();
    if (!begin) break;
    ++running;
    start(stub, request, queue, *begin);
  }
  void* tag = nullptr;
  bool ok = false;
  while (running > 0 && queue.Next(&tag, &ok)) {
    std::unique_ptr<async_call> const call(static_cast<async_call*>(tag));
    if (auto const next = judge(measure, call->began, task, call->status, call->reply)) {
      start(stub, request, queue, *next);
    } else {
      --running;
    }
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

}  // namespace

void run_textbook(work const& task, meter& measure) { run_on(*connected_stub(task), task, measure); }

void run_textbook_pool(work const& task, meter& measure) {
  pooled const beneath(task);
  run_on(*beneath.stub(task), task, measure);
}

}  // namespace millrace::peers
