// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/cq_port.hpp>

#include <millrace/loop/loop.hpp>

#include <grpc/support/time.h>

#include <stdexcept>

namespace millrace {
namespace {

// gRPC's monotonic clock and steady_clock are both CLOCK_MONOTONIC
gpr_timespec to_timespec(time_point at) noexcept {
  if (at == port::poll) return gpr_inf_past(GPR_CLOCK_MONOTONIC);
  if (at == never) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_from_nanos(std::chrono::nanoseconds(at.time_since_epoch()).count(), GPR_CLOCK_MONOTONIC);
}

}  // namespace

loop::loop() : loop(std::make_unique<cq_port>()) {}

cq_port::cq_port(std::unique_ptr<grpc::CompletionQueue> queue) : queue_(std::move(queue)) {}

cq_port::~cq_port() {
  {
    std::lock_guard const lock(gate_);
    shut_ = true;
  }
  queue_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  // whatever is out was named by the loop's stop report; give the queue one more second
  auto const until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(1, GPR_TIMESPAN));
  for (;;) {
    switch (queue_->AsyncNext(&tag, &ok, until)) {
      case grpc::CompletionQueue::GOT_EVENT: continue;
      case grpc::CompletionQueue::SHUTDOWN: return;
      case grpc::CompletionQueue::TIMEOUT: static_cast<void>(queue_.release()); return;
    }
  }
}

time_point cq_port::now() noexcept { return clock::now(); }

void cq_port::wait(time_point until, std::size_t limit, sink deliver) {
  for (gpr_timespec deadline = to_timespec(until); limit > 0; --limit) {
    void* tag = nullptr;
    bool ok = false;
    if (queue_->AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
    deadline = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    if (is_wake(tag)) continue;
    deliver(*static_cast<operation*>(tag), ok ? completion::ok : completion::not_ok);
  }
}

bool cq_port::is_wake(void* tag) noexcept {
  if (tag != &alarm_) return false;
  alarm_out_.store(false, std::memory_order_seq_cst);
  return true;
}

void cq_port::wake() noexcept {
  if (alarm_out_.exchange(true, std::memory_order_seq_cst)) return;
  std::lock_guard const lock(gate_);
  if (shut_) return;
  wakes_.fetch_add(1, std::memory_order_relaxed);
  alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &alarm_);
}

grpc::CompletionQueue& completion_queue(loop& on) {
  auto* const port = dynamic_cast<cq_port*>(&on.events());
  if (port == nullptr) throw std::logic_error("millrace: this loop's port has no completion queue");
  return port->queue();
}

}  // namespace millrace
