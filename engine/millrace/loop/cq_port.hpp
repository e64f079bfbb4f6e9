// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/port.hpp>

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace millrace {

class loop;

/// The default port: the loop's thread blocks in a grpc::CompletionQueue, and one reusable alarm wakes it.
///
/// Accuracy: gRPC rounds deadlines up to whole milliseconds, so a timer that the loop sleeps for fires 0.6 to 1.1 ms late
/// (median); one that falls due while the loop is busy is served in its next turn.
class cq_port final : public port {
 public:
  /// Over a queue of its own, or over one you made, such as a grpc::ServerCompletionQueue, which must not be shut down yet.
  explicit cq_port(std::unique_ptr<grpc::CompletionQueue> queue = std::make_unique<grpc::CompletionQueue>());

  /// Shuts the queue down and drains it. A queue with operations still out cannot be freed; it stays allocated.
  ~cq_port() override;

  time_point now() noexcept override;
  void wait(time_point until, std::size_t limit, sink deliver) override;
  void wake() noexcept override;

  grpc::CompletionQueue& queue() noexcept { return *queue_; }

  /// Times the wake alarm was set since the start.
  std::uint64_t wakes() const noexcept { return wakes_.load(std::memory_order_relaxed); }

 private:
  bool is_wake(void* tag) noexcept;

  std::unique_ptr<grpc::CompletionQueue> queue_;
  grpc::Alarm alarm_;
  // set from the alarm's Set until its tag came back: an alarm may not be set twice (grpc#38092)
  std::atomic<bool> alarm_out_ = false;
  std::atomic<std::uint64_t> wakes_ = 0;
  std::mutex gate_;  // no Set once the queue is shut down: gRPC would abort
  bool shut_ = false;
};

/// The completion queue under a loop that runs on a cq_port; throws std::logic_error for another port. On it you may start
/// operations of your own through `loop::start`.
grpc::CompletionQueue& completion_queue(loop& on);

}  // namespace millrace
