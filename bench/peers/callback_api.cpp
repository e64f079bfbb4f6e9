// SPDX-License-Identifier: Apache-2.0
#include "pooled.hpp"
#include "stub.hpp"

#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <mutex>

namespace millrace::peers {
namespace {

class callback_client {
 public:
  callback_client(std::unique_ptr<Echo::Stub> stub, work const& task, meter& measure)
      : task_(task), measure_(measure), stub_(std::move(stub)), request_(request_of(task)) {}

  void run() {
    for (unsigned lane = 0; lane < task_.in_flight; ++lane) {
      auto const begin = measure_.begin();
      if (!begin) break;
      {
        std::lock_guard const lock(mutex_);
        ++running_;
      }
      start(*begin);
    }
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  struct call {
    explicit call(time_point at) : began(at) {}

    time_point began;
    grpc::ClientContext context;
    EchoReply reply;
  };

  void start(time_point began) {
    auto* const one = new call(began);
    one->context.set_deadline(std::chrono::system_clock::now() + call_timeout);
    stub_->async()->Say(&one->context, &request_, &one->reply, [this, one](grpc::Status const& status) {
      std::unique_ptr<call> const owned(one);
      if (auto const next = judge(measure_, one->began, task_, status, one->reply)) return start(*next);
      std::lock_guard const lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    });
  }

  work const& task_;
  meter& measure_;
  std::unique_ptr<Echo::Stub> stub_;
  EchoRequest const request_;
  std::mutex mutex_;
  std::condition_variable done_;
  unsigned running_ = 0;
};

}  // namespace

void run_callback_api(work const& task, meter& measure) { callback_client(connected_stub(task), task, measure).run(); }

void run_callback_api_pool(work const& task, meter& measure) {
  pooled const beneath(task);
  callback_client(beneath.stub(task), task, measure).run();
}

}  // namespace millrace::peers
