// SPDX-License-Identifier: Apache-2.0
#include <millrace/time/timer_queue.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <memory>
#include <vector>

using namespace millrace;

namespace {

constexpr time_point at(int tick) { return time_point{} + std::chrono::milliseconds(tick); }

// a timer whose callback does what the test says
template <class Do>
class doing {
 public:
  explicit doing(Do what) : what_(what) {}

  int rings() const { return rings_; }
  timer& get() { return timer_; }

 private:
  void ring() {
    ++rings_;
    what_();
  }

  Do what_;
  int rings_ = 0;
  timer timer_{bound<void()>::to<&doing::ring>(*this)};
};

constexpr auto nothing = [] {};

}  // namespace

TEST_CASE("timer_queue: a timer is disarmed when its callback runs", "[time]") {
  timer_queue queue;
  timer const* self = nullptr;
  bool armed = true;
  doing one{[&] { armed = self->armed(); }};
  self = &one.get();
  queue.arm(one.get(), at(1));
  CHECK(one.get().armed());
  CHECK(one.get().due() == at(1));
  CHECK(queue.run_due(at(1), 10) == 1);
  CHECK_FALSE(armed);
}

TEST_CASE("timer_queue: a timer that re-arms itself for now waits for the next round", "[time]") {
  timer_queue queue;
  timer* self = nullptr;
  doing one{[&] { queue.arm(*self, at(0)); }};
  self = &one.get();
  queue.arm(one.get(), at(1));
  for (int round = 1; round <= 5; ++round) {
    CHECK(queue.run_due(at(1), 1000) == 1);
    CHECK(one.rings() == round);
  }
}

TEST_CASE("timer_queue: a timer that a callback moves earlier starves no older one", "[time]") {
  timer_queue queue;
  doing moved{nothing};
  doing older{nothing};
  doing mover{[&] { queue.arm(moved.get(), at(0)); }};
  queue.arm(mover.get(), at(1));
  queue.arm(moved.get(), at(3));
  queue.arm(older.get(), at(2));
  queue.run_due(at(1), 10);
  CHECK(moved.rings() == 0);
  CHECK(queue.next_due() == at(1));
  queue.run_due(at(2), 10);
  CHECK(moved.rings() == 1);
  CHECK(older.rings() == 1);
}

TEST_CASE("timer_queue: a timer that re-arms itself for the past starves no other", "[time]") {
  timer_queue queue;
  timer* self = nullptr;
  doing eager{[&] { queue.arm(*self, at(0)); }};
  self = &eager.get();
  doing other{nothing};
  queue.arm(eager.get(), at(0));
  queue.arm(other.get(), at(1));
  for (int round = 0; round < 5; ++round) queue.run_due(at(2), 10);
  CHECK(eager.rings() == 5);
  CHECK(other.rings() == 1);
}

TEST_CASE("timer_queue: a callback disarms another that is due in the same round", "[time]") {
  timer_queue queue;
  doing victim{nothing};
  doing killer{[&] { queue.disarm(victim.get()); }};
  queue.arm(killer.get(), at(1));
  queue.arm(victim.get(), at(1));
  CHECK(queue.run_due(at(5), 10) == 1);
  CHECK(victim.rings() == 0);
  CHECK(queue.size() == 0);
}

TEST_CASE("timer_queue: a callback destroys another that is due in the same round", "[time]") {
  timer_queue queue;
  auto victim = std::make_unique<doing<decltype(nothing)>>(nothing);
  doing last{nothing};
  doing killer{[&] { victim.reset(); }};
  queue.arm(killer.get(), at(1));
  queue.arm(victim->get(), at(2));
  queue.arm(last.get(), at(3));
  CHECK(queue.run_due(at(5), 10) == 2);
  CHECK(last.rings() == 1);
}

TEST_CASE("timer_queue: a callback destroys its own timer", "[time]") {
  struct owner {
    explicit owner(std::unique_ptr<owner>& slot) : slot_(&slot) {}
    void ring() { slot_->reset(); }
    std::unique_ptr<owner>* slot_;
    timer timer_{bound<void()>::to<&owner::ring>(*this)};
  };
  timer_queue queue;
  std::unique_ptr<owner> slot;
  slot = std::make_unique<owner>(slot);
  doing after{nothing};
  queue.arm(slot->timer_, at(1));
  queue.arm(after.get(), at(2));
  CHECK(queue.run_due(at(5), 10) == 2);
  CHECK(slot == nullptr);
  CHECK(after.rings() == 1);
}

TEST_CASE("timer_queue: a round runs no more than its limit, and the next goes on", "[time]") {
  timer_queue queue;
  doing a{nothing};
  doing b{nothing};
  doing c{nothing};
  queue.arm(a.get(), at(1));
  queue.arm(b.get(), at(2));
  queue.arm(c.get(), at(3));
  CHECK(queue.run_due(at(9), 0) == 0);
  CHECK(queue.run_due(at(9), 2) == 2);
  CHECK(c.rings() == 0);
  CHECK(queue.next_due() == at(3));
  CHECK(queue.run_due(at(9), 2) == 1);
  CHECK(queue.run_due(at(9), 2) == 0);
}

TEST_CASE("timer_queue: a timer is due at its time and not before", "[time]") {
  timer_queue queue;
  doing one{nothing};
  queue.arm(one.get(), at(5));
  CHECK(queue.next_due() == at(5));
  CHECK(queue.run_due(at(5) - duration{1}, 10) == 0);
  CHECK(queue.run_due(at(5), 10) == 1);
}

TEST_CASE("timer_queue: arming for never disarms", "[time]") {
  timer_queue queue;
  doing one{nothing};
  queue.arm(one.get(), never);
  CHECK_FALSE(one.get().armed());
  queue.arm(one.get(), at(1));
  queue.arm(one.get(), never);
  CHECK_FALSE(one.get().armed());
  CHECK(queue.size() == 0);
  CHECK(queue.next_due() == never);
}

TEST_CASE("timer_queue: a timer moves from one queue to another", "[time]") {
  timer_queue from;
  doing one{nothing};
  from.arm(one.get(), at(1));
  from.disarm(one.get());
  timer_queue to;
  to.arm(one.get(), at(2));
  CHECK(from.size() == 0);
  CHECK(to.size() == 1);
  CHECK(from.run_due(at(9), 10) == 0);
  CHECK(to.run_due(at(9), 10) == 1);
}

TEST_CASE("timer_queue: a queue that dies disarms its timers, and a timer that dies leaves its queue", "[time]") {
  doing survivor{nothing};
  {
    timer_queue queue;
    queue.arm(survivor.get(), at(1));
    {
      doing gone{nothing};
      queue.arm(gone.get(), at(0));
      CHECK(queue.size() == 2);
    }
    CHECK(queue.size() == 1);
    CHECK(queue.next_due() == at(1));
  }
  CHECK_FALSE(survivor.get().armed());
}

TEST_CASE("clock: adding to a time stops at never", "[time]") {
  static_assert(saturating_add(at(1), std::chrono::milliseconds{2}) == at(3));
  static_assert(saturating_add(at(1), duration::max()) == never);
  static_assert(saturating_add(never, duration{1}) == never);
  static_assert(saturating_add(never, duration::zero()) == never);
  static_assert(saturating_add(never - duration{1}, duration{1}) == never);
  SUCCEED();
}
