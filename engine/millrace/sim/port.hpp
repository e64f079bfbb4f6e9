// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/port.hpp>
#include <millrace/time/timer_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <stdexcept>
#include <unordered_set>
#include <vector>

namespace millrace {
class loop;
}

namespace millrace::sim {

/// Thrown out of `loop::run` when the loop would wait for ever and nothing is scripted: in a program it would hang.
class stuck : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// A loop's port without a process around it. Time is virtual: it stands still while the loop works and jumps to the next
/// event when the loop waits, so an hour takes as long as what happens in it.
///
/// Outside the loop there are timers, for whatever simulates a peer, and completions, which the loop gets in the order of
/// their times, those of one time in the order they were scripted.
class port final : public millrace::port {
 public:
  explicit port(time_point start = time_point{} + std::chrono::hours(1)) noexcept : now_(start) {}

  time_point now() noexcept override { return now_; }

  /// Throws `stuck` when `until` is `never` and nothing will happen before.
  void wait(time_point until, std::size_t limit, sink deliver) override;
  void wake() noexcept override { woken_.store(true, std::memory_order_release); }

  /// A timer of the outside world: it runs while the loop waits, and must reach the loop through `complete` only.
  void arm(timer& one, time_point at) noexcept { outside_.arm(one, at); }
  void disarm(timer& one) noexcept { outside_.disarm(one); }

  /// A tag (what loop::start gives to its `init`) is out, and `complete` will follow when the simulation knows when.
  void expect(void* tag) { expected_.insert(tag); }

  /// The tag comes back, now or at `at`. Once a tag; twice is a std::logic_error.
  void complete(void* tag, completion how) { complete_at(now_, tag, how); }
  void complete_at(time_point at, void* tag, completion how);

  /// Tags that are out. The loop's `outstanding()` must be the same.
  std::size_t tags_out() const noexcept { return expected_.size() + scripted_.size(); }

  /// Called at the start of every wait, which is once a turn of the loop.
  void on_turn(bound<void()> tell) noexcept { on_turn_ = tell; }

  /// Lets time pass without the loop. Nothing that falls due meanwhile happens before the loop waits again.
  void advance_to(time_point at) noexcept {
    if (at > now_) now_ = at;
  }

 private:
  struct coming {
    time_point at;
    std::uint64_t sequence;
    operation* op;
    completion how;
  };
  struct later {
    bool operator()(coming const& a, coming const& b) const noexcept {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };

  bool any_due() const noexcept { return !coming_.empty() && coming_.top().at <= now_; }
  time_point next() const noexcept;

  time_point now_;
  timer_queue outside_;
  std::priority_queue<coming, std::vector<coming>, later> coming_;
  std::unordered_set<void*> expected_;
  std::unordered_set<void*> scripted_;
  std::uint64_t sequence_ = 0;
  bound<void()> on_turn_;
  std::atomic<bool> woken_ = false;
};

/// The simulated port under a loop; std::logic_error when it runs on another one.
port& port_of(loop& on);

}  // namespace millrace::sim
