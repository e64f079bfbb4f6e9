// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/mapping.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution/relationship.hpp>

#include <new>
#include <type_traits>
#include <utility>

namespace millrace {

/// The loop's executor, as Asio's executor concept has it. Two words; copies freely; usable from any thread.
class loop::executor_type {
 public:
  executor_type(executor_type const& other) noexcept : loop_(other.loop_), flags_(other.flags_) { count(); }
  // what is moved from no longer counts as work; it may still be used
  executor_type(executor_type&& other) noexcept
      : loop_(other.loop_), flags_(std::exchange(other.flags_, other.flags_ & ~tracked)) {}
  executor_type& operator=(executor_type const& other) noexcept {
    if (this == &other) return *this;
    other.count();
    uncount();
    loop_ = other.loop_;
    flags_ = other.flags_;
    return *this;
  }
  ~executor_type() { uncount(); }

  loop& context() const noexcept { return *loop_; }
  bool running_in_this_thread() const noexcept { return loop_->running_in_this_thread(); }

  loop& query(boost::asio::execution::context_t) const noexcept { return *loop_; }
  static constexpr boost::asio::execution::mapping_t query(boost::asio::execution::mapping_t) noexcept {
    return boost::asio::execution::mapping.thread;
  }
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    return has(never_blocks) ? boost::asio::execution::blocking_t(boost::asio::execution::blocking.never)
                             : boost::asio::execution::blocking_t(boost::asio::execution::blocking.possibly);
  }
  boost::asio::execution::relationship_t query(boost::asio::execution::relationship_t) const noexcept {
    return boost::asio::execution::relationship.fork;
  }
  boost::asio::execution::outstanding_work_t query(boost::asio::execution::outstanding_work_t) const noexcept {
    return has(tracked)
               ? boost::asio::execution::outstanding_work_t(boost::asio::execution::outstanding_work.tracked)
               : boost::asio::execution::outstanding_work_t(boost::asio::execution::outstanding_work.untracked);
  }

  executor_type require(boost::asio::execution::blocking_t::never_t) const noexcept { return with(never_blocks, true); }
  executor_type require(boost::asio::execution::blocking_t::possibly_t) const noexcept {
    return with(never_blocks, false);
  }
  executor_type require(boost::asio::execution::outstanding_work_t::tracked_t) const noexcept {
    return with(tracked, true);
  }
  executor_type require(boost::asio::execution::outstanding_work_t::untracked_t) const noexcept {
    return with(tracked, false);
  }
  // a loop runs one thing at a time: a continuation gains nothing, so both forms are the same
  executor_type require(boost::asio::execution::relationship_t::fork_t) const noexcept { return *this; }
  executor_type require(boost::asio::execution::relationship_t::continuation_t) const noexcept { return *this; }

  /// Runs `f` on the loop: at once if this is its thread and blocking is allowed, otherwise in a later phase. A function that
  /// the loop outlives is destroyed without being called.
  template <class F>
  void execute(F&& f) const {
    if (!has(never_blocks) && running_in_this_thread()) {
      std::decay_t<F> function(std::forward<F>(f));
      std::move(function)();
      return;
    }
    using posted = function_operation<std::decay_t<F>>;
    void* const block = loop_->allocate(sizeof(posted));
    auto* const op = ::new (block) posted(*loop_, std::forward<F>(f));
    loop_->submit(*op);
  }

  friend bool operator==(executor_type const& a, executor_type const& b) noexcept {
    return a.loop_ == b.loop_ && a.flags_ == b.flags_;
  }
  friend bool operator!=(executor_type const& a, executor_type const& b) noexcept { return !(a == b); }

 private:
  friend class loop;

  enum : unsigned { never_blocks = 1u, tracked = 2u };

  template <class F>
  class function_operation final : public operation {
   public:
    template <class G>
    function_operation(loop& owner, G&& function)
        : operation(&function_operation::run), loop_(owner), function_(std::forward<G>(function)) {}

   private:
    static void run(operation& self, completion how) {
      auto& op = static_cast<function_operation&>(self);
      loop& owner = op.loop_;
      F function(std::move(op.function_));
      op.~function_operation();
      owner.deallocate(&op, sizeof(function_operation));
      if (how != completion::abandoned) std::move(function)();
    }

    loop& loop_;
    F function_;
  };

  explicit executor_type(loop& owner, unsigned flags = 0) noexcept : loop_(&owner), flags_(flags) { count(); }

  bool has(unsigned flag) const noexcept { return (flags_ & flag) != 0; }
  executor_type with(unsigned flag, bool on) const noexcept {
    return executor_type(*loop_, on ? flags_ | flag : flags_ & ~flag);
  }
  void count() const noexcept {
    if (has(tracked)) loop_->work_started();
  }
  void uncount() const noexcept {
    if (has(tracked)) loop_->work_finished();
  }

  loop* loop_;
  unsigned flags_;
};

inline loop::executor_type loop::get_executor() noexcept { return executor_type(*this); }

}  // namespace millrace
