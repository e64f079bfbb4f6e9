// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/loop_group.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_loops = 1024;
constexpr std::size_t longest_name = 15 - 4;  // the kernel's 15 bytes, less the largest number

// what a thread needs to leave its loop once the grace is over
constexpr duration slack = 100ms;

loop_group_params validated(loop_group_params params) {
  if (params.size > most_loops) {
    throw std::invalid_argument("loop_group_params.size: " + std::to_string(params.size) +
                                " is not allowed; it must be at most " + std::to_string(most_loops));
  }
  if (params.thread_name.size() > longest_name) {
    throw std::invalid_argument("loop_group_params.thread_name: \"" + params.thread_name +
                                "\" is not allowed; it must be at most " + std::to_string(longest_name) + " bytes");
  }
  if (params.stop_grace < duration::zero()) {
    throw std::invalid_argument("loop_group_params.stop_grace: " + std::to_string(params.stop_grace.count()) +
                                " ns is not allowed; it must be 0 or more");
  }
  if (params.size == 0) params.size = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, most_loops);
  return params;
}

}  // namespace

/// All that the threads touch. It goes with the group, unless a thread does not end.
struct loop_group::core {
  explicit core(loop_group_params params) : wanted(std::move(params)) {
    for (std::size_t i = 0; i < wanted.size; ++i) loops.emplace_back();
  }

  void work(std::size_t index) noexcept;
  void drive(loop& own) noexcept;
  void fail(std::exception_ptr why) noexcept;
  void begin_stop(duration grace) noexcept;
  bool wait_until(time_point until);
  loop* own_loop() noexcept;

  loop_group_params wanted;
  std::deque<loop> loops;
  std::atomic<std::size_t> next = 0;

  std::mutex mutex;  // guards the members below
  std::condition_variable ended;
  std::vector<std::thread> threads;
  std::size_t running = 0;
  std::exception_ptr failure;
};

void loop_group::core::work(std::size_t index) noexcept {
  if (!wanted.thread_name.empty()) {
    pthread_setname_np(pthread_self(), (wanted.thread_name + std::to_string(index)).c_str());
  }
  loops[index].work_started();
  drive(loops[index]);
  loops[index].work_finished();
  std::lock_guard const lock(mutex);
  --running;
  ended.notify_all();
}

void loop_group::core::drive(loop& own) noexcept {
  for (;;) {
    bool const last = own.stopping();
    try {
      own.run();
      if (last) return;
    } catch (...) {
      fail(std::current_exception());
    }
  }
}

void loop_group::core::fail(std::exception_ptr why) noexcept {
  {
    std::lock_guard const lock(mutex);
    if (failure == nullptr) failure = std::move(why);
  }
  begin_stop(wanted.stop_grace);
}

void loop_group::core::begin_stop(duration grace) noexcept {
  for (loop& one : loops) one.begin_stop(grace);
}

bool loop_group::core::wait_until(time_point until) {
  std::unique_lock lock(mutex);
  return ended.wait_until(lock, until, [this] { return running == 0; });
}

loop* loop_group::core::own_loop() noexcept {
  auto const at = std::find_if(loops.begin(), loops.end(), [](loop& one) { return one.running_in_this_thread(); });
  return at == loops.end() ? nullptr : &*at;
}

loop_group::loop_group(loop_group_params params) : core_(std::make_unique<core>(validated(std::move(params)))) {}

loop_group::~loop_group() {
  duration const grace = core_->wanted.stop_grace;
  core_->begin_stop(grace);
  bool const all_ended = core_->wait_until(saturating_add(saturating_add(clock::now(), grace), slack));
  for (std::thread& one : core_->threads) all_ended ? one.join() : one.detach();
  if (all_ended) return;
  std::fputs("millrace: ~loop_group: a thread is still busy in a handler; it and the loops are left behind\n", stderr);
  static_cast<void>(core_.release());
}

std::size_t loop_group::size() const noexcept { return core_->loops.size(); }

loop& loop_group::operator[](std::size_t index) noexcept { return core_->loops[index]; }

loop& loop_group::at(std::size_t index) {
  if (index < size()) return core_->loops[index];
  throw std::out_of_range("millrace: loop_group::at: there is no loop " + std::to_string(index) + " among " +
                          std::to_string(size()));
}

loop_group::iterator loop_group::begin() noexcept { return core_->loops.begin(); }

loop_group::iterator loop_group::end() noexcept { return core_->loops.end(); }

loop& loop_group::next() noexcept {
  return core_->loops[core_->next.fetch_add(1, std::memory_order_relaxed) % core_->loops.size()];
}

void loop_group::start() {
  std::lock_guard const lock(core_->mutex);
  if (!core_->threads.empty() || core_->loops.front().stopping()) {
    throw std::logic_error("millrace: loop_group::start: the group was started or stopped before");
  }
  try {
    for (std::size_t i = 0; i < size(); ++i) {
      core_->threads.emplace_back(&core::work, core_.get(), i);
      ++core_->running;
    }
  } catch (...) {
    core_->begin_stop(core_->wanted.stop_grace);
    throw;
  }
}

void loop_group::join() {
  if (core_->own_loop() != nullptr) {
    throw std::logic_error("millrace: loop_group::join: a thread of the group cannot wait for itself");
  }
  std::unique_lock lock(core_->mutex);
  core_->ended.wait(lock, [this] { return core_->running == 0; });
  if (auto const why = std::exchange(core_->failure, nullptr)) std::rethrow_exception(why);
}

void loop_group::run() {
  start();
  join();
}

stop_report loop_group::stop(duration grace) {
  time_point const deadline = saturating_add(clock::now(), grace);
  core_->begin_stop(grace);
  if (loop* const own = core_->own_loop()) return own->stop(grace);
  core_->wait_until(deadline);
  stop_report all{.finished = true, .outstanding = {}};
  for (loop& one : core_->loops) {
    stop_report part = one.stop(std::max(deadline - clock::now(), duration::zero()));
    all.finished = all.finished && part.finished;
    std::move(part.outstanding.begin(), part.outstanding.end(), std::back_inserter(all.outstanding));
  }
  std::stable_sort(all.outstanding.begin(), all.outstanding.end(),
                   [](auto const& a, auto const& b) { return a.age > b.age; });
  return all;
}

}  // namespace millrace
