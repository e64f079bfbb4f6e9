// SPDX-License-Identifier: Apache-2.0
#include "pooled.hpp"
#include "stub.hpp"

#include <thread>
#include <vector>

namespace millrace::peers {
namespace {

void run_on(Echo::Stub& stub, work const& task, meter& measure) {
  EchoRequest const request = request_of(task);
  std::vector<std::jthread> lanes;
  for (unsigned lane = 0; lane < task.in_flight; ++lane) {
    lanes.emplace_back([&] {
      for (auto began = measure.begin(); began;) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + call_timeout);
        EchoReply reply;
        grpc::Status const status = stub.Say(&context, request, &reply);
        began = judge(measure, *began, task, status, reply);
      }
    });
  }
}

}  // namespace

void run_sync(work const& task, meter& measure) { run_on(*connected_stub(task), task, measure); }

void run_sync_pool(work const& task, meter& measure) {
  pooled const beneath(task);
  run_on(*beneath.stub(task), task, measure);
}

}  // namespace millrace::peers
