// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "call.hpp"
#include "options.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/server/server_cork.hpp>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace millrace::echo {

/// Answers any unary method with the bytes it got, all on the thread that calls `run`: a loop over the server's completion
/// queue, one object a call. Also serves grpc.health.v1, which gRPC does on threads of its own.
class server {
 public:
  /// Listens; throws std::runtime_error when the address cannot be had.
  explicit server(options const& wanted) : server(wanted, grpc::ServerBuilder()) {}
  server(server const&) = delete;
  server& operator=(server const&) = delete;

  /// `127.0.0.1:50051`, with the port that was taken.
  std::string const& address() const noexcept { return address_; }

  /// Serves until `stop`, which must be called before the server is destroyed once this was.
  void run();

  /// Any other thread, once. Takes no new calls, answers those in flight without further delay, cuts off after a second what
  /// is left, and makes `run` return.
  void stop();

  /// The thread that will call `stop`, before it does. Says by grpc.health.v1 the opposite of what it said before, which is
  /// SERVING at first, and returns whether it serves now.
  bool flip_health();

  /// Any thread: calls that have reached the server.
  std::uint64_t arrived() const noexcept { return arrived_.load(std::memory_order_relaxed); }

  /// Once `run` has returned: calls answered, how many of them failed on purpose, and what write coalescing did.
  std::uint64_t served() const noexcept { return served_; }
  std::uint64_t failed() const noexcept { return failed_; }
  coalescing_stats coalescing() const noexcept { return cork_.coalescing(); }

  /// The same: connections whose sockets are held for it.
  std::size_t held() const noexcept { return cork_.connections(); }

 private:
  friend class call;

  server(options const& wanted, grpc::ServerBuilder&& builder);

  void accept();
  void accept_next();
  void request(grpc::GenericServerContext& context, grpc::GenericServerAsyncReaderWriter& stream, void* tag);
  std::chrono::nanoseconds draw_delay() noexcept;
  void delay(call& which, timer& until, std::chrono::nanoseconds by);
  std::optional<grpc::StatusCode> draw_failure() noexcept;
  void answered() noexcept { ++served_; }
  void hurry();

  double fail_rate_;
  grpc::StatusCode status_;
  std::chrono::nanoseconds delay_;
  double tail_share_;
  std::chrono::nanoseconds tail_delay_;
  rng random_;
  std::string address_;

  loop loop_;
  grpc::ServerCompletionQueue& queue_;
  server_cork cork_{loop_};
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;

  bool serving_ = true;  // as grpc.health.v1 is told
  bool hurrying_ = false;
  std::atomic<std::uint64_t> arrived_ = 0;  // written by the thread of `run` only
  std::uint64_t served_ = 0;
  std::uint64_t failed_ = 0;
  intrusive_list<call, delayed_tag> delayed_;
};

}  // namespace millrace::echo
