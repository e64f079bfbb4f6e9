// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

namespace millrace {

/// What a loop_group is made of. Validated once, by its constructor: std::invalid_argument names the field, its value and
/// what is allowed.
struct loop_group_params {
  /// Loops, each with a thread of its own; at most 1024. 0: one a hardware thread.
  std::size_t size = 0;

  /// What the threads are called in `top -H` and debuggers, with the loop's number behind it; at most 11 bytes, which is what
  /// Linux has room for. Empty: as the program.
  std::string thread_name = "millrace-";

  /// How long operations may take to come back when the group stops by itself: after an exception, and in its destructor. 0 or
  /// more.
  duration stop_grace = std::chrono::seconds(5);
};

/// Several loops over completion queues, each on a thread of its own. What is built on a loop (a pool, a client, a timer)
/// stays on it: a group shares nothing but its threads' beginning and end.
///
/// Build on the loops before `start`, or on their own threads after it, and destroy what you built once the threads have ended:
/// `join` has returned, or `stop` with a report that nobody was busy in a handler.
///
/// Thread: functions are called from any thread, `start` once.
class loop_group {
 public:
  using iterator = std::deque<loop>::iterator;

  explicit loop_group(loop_group_params params = {});
  loop_group(loop_group const&) = delete;
  loop_group& operator=(loop_group const&) = delete;

  /// Stops what still runs, waiting at most `stop_grace` for the threads, then destroys the loops one by one (see ~loop). A
  /// thread that is still busy in a handler is left to itself, the loops stay allocated, and one line on stderr says so. What a
  /// handler threw and `join` did not rethrow is lost.
  ~loop_group();

  std::size_t size() const noexcept;

  /// The loop of that number, from 0; unchecked.
  loop& operator[](std::size_t index) noexcept;

  /// The same; throws std::out_of_range.
  loop& at(std::size_t index);

  iterator begin() noexcept;
  iterator end() noexcept;

  /// One loop after the other, round and round.
  loop& next() noexcept;

  /// Starts the threads. They run their loops until `stop`, also while there is nothing to do. Throws std::logic_error when
  /// called again or after `stop`, std::system_error when there are no more threads to be had.
  void start();

  /// Waits until all threads have ended, which takes a `stop` or an exception. An exception that a handler throws on one loop
  /// stops all of them, with `stop_grace`; the first one is rethrown here, once. Returns at once before `start`. Throws
  /// std::logic_error on a thread of the group, which cannot wait for itself.
  void join();

  /// `start`, then `join`.
  void run();

  /// Stops all loops at the same time (see loop::stop) and waits until their threads have ended. What is outstanding is that
  /// of all loops, oldest first. Always returns: `grace` after the call, and 100 ms later for each thread that is busy in a
  /// handler. Called from a handler of the group it cannot wait: it reports of that handler's loop alone.
  stop_report stop(duration grace = std::chrono::seconds(10));

 private:
  struct core;
  std::unique_ptr<core> core_;
};

}  // namespace millrace
