// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace millrace {

/// Frees an operation made by `new_operation` for a handler with this associated allocator.
template <class Allocator, class Operation>
void delete_operation(loop& on, Allocator const& allocator, Operation* op) noexcept {
  if constexpr (std::is_same_v<Allocator, std::allocator<void>>) {
    op->~Operation();
    on.deallocate(op, sizeof(Operation));
  } else {
    typename std::allocator_traits<Allocator>::template rebind_alloc<Operation> memory(allocator);
    op->~Operation();
    memory.deallocate(op, 1);
  }
}

/// The last step of every `async_` function: memory for the operation that holds a handler, and the handler's call on the
/// executor it is associated with. While it lives, the loop has work.
template <class Handler>
class completion_handler {
 public:
  // an executor that counts work may be of another type: io_context's are
  using executor =
      std::decay_t<typename boost::asio::prefer_result<boost::asio::associated_executor_t<Handler, loop::executor_type>,
                                                       boost::asio::execution::outstanding_work_t::tracked_t>::type>;

  completion_handler(loop& on, Handler&& handler)
      : handler_(std::move(handler)),
        executor_(boost::asio::prefer(boost::asio::get_associated_executor(handler_, on.get_executor()),
                                      boost::asio::execution::outstanding_work.tracked)),
        loop_(&on) {
    on.work_started();
  }
  completion_handler(completion_handler&& other) noexcept
      : handler_(std::move(other.handler_)),
        executor_(std::move(other.executor_)),
        loop_(std::exchange(other.loop_, nullptr)) {}
  completion_handler& operator=(completion_handler&&) = delete;
  ~completion_handler() {
    if (loop_ != nullptr) loop_->work_finished();
  }

  auto cancellation_slot() const noexcept { return boost::asio::get_associated_cancellation_slot(handler_); }

  /// Frees the operation that held this handler, after the handler was moved out of it and before it is called.
  template <class Operation>
  void destroy(Operation* op) noexcept {
    delete_operation(*loop_, boost::asio::get_associated_allocator(handler_), op);
  }

  /// Calls the handler. Called on the loop's thread, never from an initiating function or a destructor.
  template <class... Args>
  void operator()(Args&&... args) && {
    if (runs_on_loop()) {
      std::move(handler_)(std::forward<Args>(args)...);
      return;
    }
    boost::asio::dispatch(executor_, [handler = std::move(handler_), ... values = std::forward<Args>(args)]() mutable {
      std::move(handler)(std::move(values)...);
    });
  }

 private:
  bool runs_on_loop() const noexcept {
    if constexpr (std::is_same_v<executor, loop::executor_type>) {
      return &executor_.context() == loop_;
    } else if constexpr (std::is_same_v<executor, boost::asio::any_io_executor>) {
      auto const* const plain = executor_.template target<loop::executor_type>();
      return plain != nullptr && &plain->context() == loop_;
    } else {
      return false;
    }
  }

  Handler handler_;
  executor executor_;
  loop* loop_;
};

/// Places an `Operation` in memory of the handler's associated allocator; of the loop's recycled blocks when the handler has
/// none of its own. Its completion_handler gives it back with `destroy`.
template <class Operation, class Handler, class... Args>
Operation* new_operation(loop& on, Handler const& handler, Args&&... args) {
  using allocator = boost::asio::associated_allocator_t<Handler>;
  if constexpr (std::is_same_v<allocator, std::allocator<void>>) {
    void* const block = on.allocate(sizeof(Operation));
    try {
      return ::new (block) Operation(std::forward<Args>(args)...);
    } catch (...) {
      on.deallocate(block, sizeof(Operation));
      throw;
    }
  } else {
    typename std::allocator_traits<allocator>::template rebind_alloc<Operation> memory(
        boost::asio::get_associated_allocator(handler));
    auto* const block = std::to_address(memory.allocate(1));
    try {
      return ::new (static_cast<void*>(block)) Operation(std::forward<Args>(args)...);
    } catch (...) {
      memory.deallocate(block, 1);
      throw;
    }
  }
}

}  // namespace millrace
