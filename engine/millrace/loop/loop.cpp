// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/loop.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <cstdio>
#include <random>
#include <stdexcept>

namespace millrace {
namespace {

/// An Asio handler's memory out of a loop's blocks.
template <class T>
struct block_allocator {
  using value_type = T;
  explicit block_allocator(block_pool& of) noexcept : from(&of) {}
  template <class U>
  block_allocator(block_allocator<U> const& other) noexcept : from(other.from) {}
  T* allocate(std::size_t count) { return static_cast<T*>(from->allocate(count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) noexcept { from->deallocate(block, count * sizeof(T)); }
  template <class U>
  bool operator==(block_allocator<U> const& other) const noexcept {
    return from == other.from;
  }
  block_pool* from;
};

}  // namespace

constinit thread_local loop* loop::current_ = nullptr;

/// Makes this thread the loop's, for as long as it lives. Falsy when another thread already is.
class loop::entered {
 public:
  explicit entered(loop& l) noexcept : loop_(l), before_(current_) {
    std::lock_guard const lock(l.owner_mutex_);
    if (l.owned_) return;
    l.owned_ = mine_ = true;
    current_ = &l;
  }
  entered(entered const&) = delete;
  entered& operator=(entered const&) = delete;
  ~entered() {
    if (!mine_) return;
    loop_.end_phase();  // a handler may have thrown
    current_ = before_;
    loop_.in_turn_ = false;
    {
      std::lock_guard const lock(loop_.owner_mutex_);
      loop_.owned_ = false;
    }
    loop_.owner_left_.notify_all();
  }
  explicit operator bool() const noexcept { return mine_; }

 private:
  loop& loop_;
  loop* before_;
  bool mine_ = false;
};

loop::loop(std::unique_ptr<port> events)
    : port_(std::move(events)), frames_(std::make_unique<boost::asio::io_context>(1)), random_(std::random_device{}()) {
  now_ = port_->now();
}

loop::~loop() {
  abandoning_ = true;
  if (forks_ != forks()) {
    static_cast<void>(port_.release());
    return;
  }
  if (stop_report const left = stop(std::chrono::seconds(5)); !left.finished) {
    std::fprintf(stderr, "millrace: ~loop: %s\n", to_string(left).c_str());
  }
  // services may own handlers that hold memory of this loop
  shutdown();
  destroy();
  entered const owner(*this);
  take_injected();
  run_ready();
}

std::size_t loop::run() { return drive(never); }

std::size_t loop::run_until(time_point until) { return drive(until); }

std::size_t loop::poll() { return drive(port::poll); }

std::size_t loop::drive(time_point until) {
  if (forks_ != forks()) {
    throw std::logic_error(
        "millrace: loop::run: this loop was made before a fork; make it in the child, or exec there");
  }
  entered const owner(*this);
  if (!owner) {
    if (stopping()) return 0;
    throw std::logic_error("millrace: loop::run: a thread is running this loop already");
  }
  std::size_t const before = completed_;
  // Asio recycles coroutine frames and its own handlers only inside the call stack of one of its contexts, so a run or a
  // poll is one handler of a private context that does nothing else. Measured: 4 heap allocations a co_awaited call without it, 0 with.
  frames_->restart();
  boost::asio::post(*frames_, boost::asio::bind_allocator(block_allocator<void>(memory_), [&] { drive_turns(until); }));
  frames_->run_one();
  return completed_ - before;
}

void loop::drive_turns(time_point until) {
  if (until == port::poll) return turn(until);
  for (;;) {
    if (stopping()) {
      finish_stop(stop_deadline());
      break;
    }
    if (interrupted_.exchange(false, std::memory_order_acq_rel)) break;
    if (out_of_work() || port_->now() >= until) break;
    turn(until);
  }
}

void loop::turn(time_point until) {
  now_ = port_->now();
  in_turn_ = true;
  if (!abandoning_) completed_ += timers_.run_due(now_, batch);
  take_injected();
  run_ready();
  end_phase();
  wait_for_events(until);
  end_phase();
  in_turn_ = false;
}

void loop::end_phase() noexcept {
  while (turn_end_listener* const listener = turn_end_listeners_.try_pop_front()) listener->on_turn_end();
}

void loop::tell_of_long_phase() noexcept {
  time_point const now = port_->now();
  if (now - end_awaited_since_ < long_phase) return;
  end_awaited_since_ = now;
  turn_end_listeners_.for_each([](turn_end_listener& one) { one.on_long_phase(); });
}

void loop::run_ready() {
  for (std::size_t left = batch; left > 0; --left) {
    heed_long_phase();
    if (interrupted_.load(std::memory_order_relaxed)) return;
    if (operation* const op = refused_.try_pop()) {
      static_cast<tracked_operation*>(op)->refused_ = false;
      op->complete(completion::abandoned);
      continue;
    }
    operation* const op = ready_.try_pop();
    if (op == nullptr) return;
    ++completed_;
    op->complete(abandoning_ ? completion::abandoned : completion::ok);
  }
}

void loop::take_injected() noexcept {
  for (operation* op = injected_.take_all(); op != nullptr;) {
    operation* const next = op->next;
    ready_.push(*op);
    op = next;
  }
}

void loop::wait_for_events(time_point until) {
  time_point const due = abandoning_ ? never : timers_.next_due();  // nobody runs them then
  time_point sleep_until = may_sleep() ? std::min(until, due) : port::poll;
  // a completion queue waits up to 1 ms for a time that is past; the handlers may have taken a while
  if (sleep_until != never && sleep_until <= port_->now()) sleep_until = port::poll;
  if (sleep_until != port::poll) {
    // announce the sleep, then look again: who changes something after the look sees the announcement and wakes us. Both
    // sides are sequentially consistent
    sleeping_.store(true);
    if (!may_sleep()) sleep_until = port::poll;
  }
  port_->wait(sleep_until, batch, port::sink::to<&loop::come_back>(*this));
  sleeping_.store(false, std::memory_order_relaxed);
}

bool loop::may_sleep() const noexcept {
  bool const done = stopping() ? ledger_.empty() : out_of_work();
  return !done && quiet() && !interrupted_.load();
}

void loop::come_back(operation& op, completion how) {
  heed_long_phase();
  if (sleeping_.load(std::memory_order_relaxed)) {
    sleeping_.store(false, std::memory_order_relaxed);
    now_ = port_->now();
  }
  // every tag that gRPC returns was started through `start`
  MILLRACE_CHECK(ledger_.strike(static_cast<tracked_operation&>(op)));
  ++completed_;
  op.complete(abandoning_ ? completion::abandoned : how);
}

void loop::schedule(operation& op) noexcept { ready_.push(op); }

void loop::inject(operation& op) noexcept {
  injected_.push(op);
  if (sleeping_.load()) port_->wake();
}

void loop::refuse(tracked_operation& op) noexcept {
  op.refused_ = true;
  refused_.push(op);
}

void loop::work_finished() noexcept {
  if (work_.fetch_sub(1) != 1 || running_in_this_thread()) return;
  // the last work ended on another thread: the loop may be asleep with nothing left to wait for
  if (sleeping_.load()) port_->wake();
}

void loop::interrupt() noexcept {
  interrupted_.store(true);
  if (!running_in_this_thread() && sleeping_.load()) port_->wake();
}

bool loop::quiet() const noexcept { return ready_.empty() && refused_.empty() && injected_.empty(); }

bool loop::out_of_work() const noexcept { return work_.load() == 0 && ledger_.foreground() == 0 && quiet(); }

// ---- stopping

stop_report loop::stop(duration grace) {
  time_point const deadline = saturating_add(port_->now(), grace);
  close_gate(deadline);
  if (running_in_this_thread()) {
    interrupt();  // the turn we are in must not go to sleep
    return report();
  }
  if (entered const owner(*this); owner) {
    finish_stop(deadline);
    return report();
  }
  interrupt();  // the owner leaves its wait, sees that it stops, and finishes
  std::unique_lock lock(owner_mutex_);
  time_point const last = saturating_add(deadline, std::chrono::milliseconds(100));
  if (owner_left_.wait_until(lock, last, [this] { return !owned_; })) {
    lock.unlock();
    if (entered const owner(*this); owner) return report();
  }
  return stop_report{.finished = false,
                     .outstanding = {{op_kind::user, "the loop's own thread, busy in a handler", grace}}};
}

void loop::begin_stop(duration grace) noexcept {
  close_gate(saturating_add(port_->now(), grace));
  interrupt();
}

void loop::close_gate(time_point deadline) noexcept {
  std::lock_guard const lock(owner_mutex_);
  stop_deadline_ = std::min(stop_deadline_, deadline);
  stopping_.store(true, std::memory_order_release);
}

time_point loop::stop_deadline() {
  std::lock_guard const lock(owner_mutex_);
  return stop_deadline_;
}

void loop::finish_stop(time_point deadline) {
  in_turn_ = false;
  tell_stop_listeners();
  interrupted_.store(false, std::memory_order_relaxed);
  while (!(ledger_.empty() && quiet())) {
    if (port_->now() >= deadline) break;
    turn(deadline);
    interrupted_.store(false, std::memory_order_relaxed);
    tell_stop_listeners();
  }
}

void loop::tell_stop_listeners() noexcept {
  // a listener may go, or come, while another is told; each is told once
  while (stop_listener* const listener = stop_listeners_.try_pop_front()) listener->on_stop();
}

stop_report loop::report() {
  return {.finished = ledger_.empty() && quiet(), .outstanding = ledger_.list(port_->now())};
}

std::string to_string(stop_report const& report) {
  if (report.finished) return "stopped: nothing outstanding";
  std::string text = "stopped with " + std::to_string(report.outstanding.size()) + " outstanding";
  for (outstanding_operation const& line : report.outstanding) {
    text += "; ";
    text += to_string(line.kind);
    text += ' ' + line.owner + " for ";
    text += std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(line.age).count()) + " ms";
  }
  return text;
}

}  // namespace millrace
