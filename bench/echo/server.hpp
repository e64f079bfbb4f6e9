// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "call.hpp"
#include "options.hpp"

#include <millrace/base/bound.hpp>
#include <millrace/base/rng.hpp>

#include <grpcpp/server.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace millrace::echo {

/// Answers any unary method with the bytes it got, all on the thread that calls `run`: one completion queue, one object a
/// call. Also serves grpc.health.v1, which gRPC does on threads of its own.
class server {
 public:
  /// Listens; throws std::runtime_error when the address cannot be had.
  explicit server(options const& wanted);
  server(server const&) = delete;
  server& operator=(server const&) = delete;

  /// `127.0.0.1:50051`, with the port that was taken.
  std::string const& address() const noexcept { return address_; }

  /// Serves until `stop`, which must be called before the server is destroyed once this was.
  void run();

  /// Any other thread, once. Takes no new calls, answers those in flight without further delay, cuts off after a second what
  /// is left, and makes `run` return.
  void stop();

  /// Any thread: calls that have reached the server.
  std::uint64_t arrived() const noexcept { return arrived_.load(std::memory_order_relaxed); }

  /// Once `run` has returned: calls answered, and how many of them failed on purpose.
  std::uint64_t served() const noexcept { return served_; }
  std::uint64_t failed() const noexcept { return failed_; }

 private:
  friend class call;

  // an alarm with a function: how `stop` gets work done on the thread of `run`
  class errand final : public event {
   public:
    explicit errand(bound<void()> work) : work_(work) {}
    void send(grpc::CompletionQueue& queue);
    void complete(bool) override { work_(); }

   private:
    bound<void()> work_;
    grpc::Alarm alarm_;
  };

  void accept();
  void accept_next();
  void request(grpc::GenericServerContext& context, grpc::GenericServerAsyncReaderWriter& stream, event* tag);
  bool delays() const noexcept { return !hurrying_ && delay_ > std::chrono::nanoseconds::zero(); }
  void delay(call& which, grpc::Alarm& alarm);
  std::optional<grpc::StatusCode> draw_failure() noexcept;
  void finished(bool answered) noexcept;

  void hurry();
  void close();

  double fail_rate_;
  grpc::StatusCode status_;
  std::chrono::nanoseconds delay_;
  rng random_;
  std::string address_;

  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;

  bool hurrying_ = false;
  bool closing_ = false;
  std::uint64_t live_ = 0;                  // calls that exist, those that wait to be called included
  std::atomic<std::uint64_t> arrived_ = 0;  // written by the thread of `run` only
  std::uint64_t served_ = 0;
  std::uint64_t failed_ = 0;
  intrusive_list<call, delayed_tag> delayed_;
  errand hurry_{bound<void()>::to<&server::hurry>(*this)};
  errand close_{bound<void()>::to<&server::close>(*this)};
};

}  // namespace millrace::echo
