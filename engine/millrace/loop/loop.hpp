// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/block_pool.hpp>
#include <millrace/base/check.hpp>
#include <millrace/base/fork.hpp>
#include <millrace/base/mpsc_queue.hpp>
#include <millrace/base/rng.hpp>
#include <millrace/loop/ledger.hpp>
#include <millrace/loop/port.hpp>
#include <millrace/time/timer_queue.hpp>

#include <boost/asio/execution_context.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace millrace {

/// What `loop::stop` found.
struct stop_report {
  /// Nothing is out: every operation came back and every handler ran.
  bool finished = false;
  /// What did not come back in time, oldest first.
  std::vector<outstanding_operation> outstanding;
};

/// One line for people: "stopped: nothing outstanding", or what is still out.
std::string to_string(stop_report const& report);

struct stop_listener_tag;

/// Is told when its loop begins to stop: cancel what you have under way, so that its tags come back. Unregisters itself when
/// destroyed.
class stop_listener : private list_base<stop_listener_tag> {
 public:
  virtual ~stop_listener() = default;
  virtual void on_stop() noexcept = 0;

 private:
  friend class loop;
  template <class T, class Tag>
  friend class intrusive_list;
};

struct turn_end_tag;

/// Is told once at the end of the phase in which it asked for it: when the handlers of a turn have run, or the events of a turn
/// were dispatched, and also when one of them threw. For work that is cheaper once than often.
class turn_end_listener : private list_base<turn_end_tag> {
 public:
  virtual ~turn_end_listener() = default;
  virtual void on_turn_end() noexcept = 0;

  /// The phase goes on, though somebody has waited for its end for a millisecond, or for another one since this was told. Comes
  /// between two handlers or events.
  virtual void on_long_phase() noexcept {}

 private:
  friend class loop;
  template <class T, class Tag>
  friend class intrusive_list;
};

/// One thread's event loop: gRPC's completion queue, timers and posted work. It *is* an Asio execution context, so
/// `co_spawn(loop, …)`, `post(loop, …)` and every completion token work on it.
///
/// A turn goes through named phases, each bounded by a batch so that none starves another: due timers, ready operations,
/// operations injected by other threads, then events of the port, for which it waits only if nothing is ready. An idle loop
/// does not wake up at all.
///
/// Thread: whichever calls `run` owns the loop; functions marked "any thread" may be called from others. Everything built on a
/// loop (pools, clients, timers) is destroyed before it.
class loop : public boost::asio::execution_context {
 public:
  class executor_type;

  /// Over a completion queue of its own (cq_port).
  loop();

  /// Over a port of your choice.
  explicit loop(std::unique_ptr<port> events);

  /// Stops, waiting at most 5 s for operations that are out. Handlers that have not run are destroyed, not called, as with
  /// an io_context. What has not come back stays allocated, and one line on stderr names it: freeing memory that gRPC will
  /// still write to is worse than a leak. In the child of a fork it leaves everything as it is.
  ~loop();

  executor_type get_executor() noexcept;

  /// Runs until nothing is left to do: no handler ready, no call in flight, no timer awaited, no tracked work. Watches of idle
  /// pools do not keep it running. An exception thrown by a handler leaves through here, and `run` may be called again.
  /// After `stop` it returns at once. Returns how many operations it completed; throws std::logic_error while a thread,
  /// this one included, is inside `run` already, and in the child of a fork: gRPC's threads are not there, and a loop made
  /// before would wait for them for ever.
  std::size_t run();

  /// As `run`, but returns at `until` at the latest.
  std::size_t run_until(time_point until);

  /// Runs at most one turn without waiting. For a host that owns the thread.
  std::size_t poll();

  /// Any thread. Makes the current `run` return after the operation it is in; a later `run` goes on.
  void interrupt() noexcept;

  /// Any thread. Ends the loop for good: refuses new operations, tells every pool and timer on it to cancel, and drives what
  /// is out until it is back or `grace` has passed. Always returns. Called from a handler of this loop it cannot wait: it
  /// returns what is out so far, and `run` does the rest and returns.
  stop_report stop(duration grace = std::chrono::seconds(10));

  /// Any thread. As `stop`, without waiting: the thread that runs the loop does it and returns from `run`.
  void begin_stop(duration grace = std::chrono::seconds(10)) noexcept;

  /// Any thread. True once `stop` has begun.
  bool stopping() const noexcept { return stopping_.load(); }

  /// The time, read once a turn; outside of `run` it is read anew.
  time_point now() noexcept { return in_turn_ ? now_ : now_ = port_->now(); }

  /// Any thread. True on the thread that is inside `run`, `run_until`, `poll` or `stop`.
  bool running_in_this_thread() const noexcept { return current_ == this; }

  // for the engine and for those who extend it

  /// True inside the destructor: an operation that comes back abandoned then means the end of its owner too; before, only
  /// that it was refused.
  bool ending() const noexcept { return abandoning_; }

  /// Queues an operation to be completed with `ok` in this turn or the next.
  void schedule(operation& op) noexcept;

  /// Any thread. Queues an operation; wakes the loop if it sleeps.
  void inject(operation& op) noexcept;

  /// Any thread. Schedules on the loop's thread, injects from elsewhere: what one thread submits, always inside `run` or
  /// always outside, runs in that order.
  void submit(operation& op) noexcept { running_in_this_thread() ? schedule(op) : inject(op); }

  /// The one gate for operations that gRPC completes: enters `op` in the ledger and calls `init(void* tag)`, which must hand
  /// the tag to the completion queue. While the loop is stopping it calls nothing and completes `op` as abandoned in the
  /// next turn. `owner` must stay valid until the operation is back.
  template <class Init>
  void start(tracked_operation& op, op_kind kind, std::string_view owner, Init&& init) {
    MILLRACE_CHECK(!op.outstanding());
    if (stopping()) return refuse(op);
    ledger_.enter(op, kind, owner, now());
    init(op.as_tag());
  }

  /// Takes back an operation that was started and that gRPC will never complete, as the done tag of a server's call that does
  /// not come; its function is not called.
  void retract(tracked_operation& op) noexcept { ledger_.strike(op); }

  void arm(timer& timer, time_point at) noexcept { timers_.arm(timer, at); }
  void disarm(timer& timer) noexcept { timers_.disarm(timer); }

  /// Any thread. Work that keeps `run` going: one `work_finished` for each `work_started`.
  void work_started() noexcept { work_.fetch_add(1, std::memory_order_relaxed); }
  void work_finished() noexcept;

  void add(stop_listener& listener) noexcept { stop_listeners_.push_back(listener); }

  /// Tells `listener` at the end of this phase, once however often it is asked. Only inside `run`; elsewhere there is no phase,
  /// and the answer is false.
  bool at_turn_end(turn_end_listener& listener) noexcept {
    if (!in_turn_) return false;
    if (static_cast<list_base<turn_end_tag>&>(listener).linked()) return true;
    if (turn_end_listeners_.empty()) end_awaited_since_ = port_->now();
    turn_end_listeners_.push_back(listener);
    return true;
  }

  /// Any thread. Memory that is recycled; give it back on the loop's thread with the same size.
  void* allocate(std::size_t size) {
    return running_in_this_thread() ? memory_.allocate(size) : block_pool::allocate_elsewhere(size);
  }
  void deallocate(void* block, std::size_t size) noexcept {
    if (running_in_this_thread()) return memory_.deallocate(block, size);
    ::operator delete(block);
  }

  rng& random() noexcept { return random_; }
  port& events() noexcept { return *port_; }
  std::size_t outstanding() const noexcept { return ledger_.size(); }
  std::size_t armed_timers() const noexcept { return timers_.size(); }

 private:
  class entered;
  struct queue {
    void push(operation& op) noexcept {
      op.next = nullptr;
      (first == nullptr ? first : last->next) = &op;
      last = &op;
    }
    operation* try_pop() noexcept {
      operation* const op = first;
      if (op != nullptr) first = op->next;
      return op;
    }
    bool empty() const noexcept { return first == nullptr; }
    operation* first = nullptr;
    operation* last = nullptr;
  };

  static constexpr std::size_t batch = 256;  // operations or events a phase takes a turn
  static constexpr duration long_phase = std::chrono::milliseconds(1);

  std::size_t drive(time_point until);
  void drive_turns(time_point until);
  void turn(time_point until);
  void run_ready();
  void end_phase() noexcept;
  void heed_long_phase() noexcept {
    if (!turn_end_listeners_.empty()) tell_of_long_phase();
  }
  void tell_of_long_phase() noexcept;
  void take_injected() noexcept;
  void wait_for_events(time_point until);
  void come_back(operation& op, completion how);
  void refuse(tracked_operation& op) noexcept;
  bool out_of_work() const noexcept;
  bool may_sleep() const noexcept;
  bool quiet() const noexcept;
  void close_gate(time_point deadline) noexcept;
  time_point stop_deadline();
  void tell_stop_listeners() noexcept;
  void finish_stop(time_point deadline);
  stop_report report();

  static constinit thread_local loop* current_;

  std::unique_ptr<port> port_;
  block_pool memory_;
  std::unique_ptr<boost::asio::io_context> frames_;  // what `run` runs inside of
  timer_queue timers_;
  queue ready_;
  queue refused_;
  ledger ledger_;
  mpsc_queue<operation> injected_;
  std::atomic<std::int64_t> work_ = 0;
  std::atomic<bool> sleeping_ = false;
  std::atomic<bool> interrupted_ = false;
  std::atomic<bool> stopping_ = false;
  intrusive_list<stop_listener, stop_listener_tag> stop_listeners_;
  intrusive_list<turn_end_listener, turn_end_tag> turn_end_listeners_;
  time_point end_awaited_since_{};  // by the first of them, or since they were told of a long phase
  rng random_;
  std::uint32_t const forks_ = forks();
  time_point now_{};
  bool in_turn_ = false;
  bool abandoning_ = false;  // from the destructor on: nobody is called any more
  std::size_t completed_ = 0;

  std::mutex owner_mutex_;  // guards the members below
  std::condition_variable owner_left_;
  bool owned_ = false;  // a thread is inside run
  time_point stop_deadline_ = never;
};

}  // namespace millrace

#include <millrace/loop/executor.hpp>
