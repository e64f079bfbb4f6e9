// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/mpsc_queue.hpp>

#include <support/catch.hpp>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

using namespace millrace;

namespace {

struct job {
  int producer = 0;
  int number = 0;
  job* next = nullptr;
};

constexpr int producers = 4;
constexpr int jobs_each = 20000;

struct tally {
  std::array<int, producers> next_number{};
  int taken = 0;
  bool in_order = true;

  void count(job* taken_jobs) {
    for (job* one = taken_jobs; one != nullptr; one = one->next) {
      auto& expected = next_number.at(static_cast<std::size_t>(one->producer));
      in_order = in_order && one->number == expected;
      ++expected;
      ++taken;
    }
  }
};

}  // namespace

TEST_CASE("mpsc_queue: what was pushed first is taken first", "[base][mpsc_queue]") {
  mpsc_queue<job> queue;
  std::array<job, 3> jobs{};
  CHECK(queue.empty());
  CHECK(queue.take_all() == nullptr);
  for (auto& one : jobs) queue.push(one);
  CHECK_FALSE(queue.empty());
  job* const taken = queue.take_all();
  CHECK(taken == &jobs[0]);
  CHECK(jobs[0].next == &jobs[1]);
  CHECK(jobs[1].next == &jobs[2]);
  CHECK(jobs[2].next == nullptr);
  CHECK(queue.empty());
}

TEST_CASE("mpsc_queue: only the push into an empty queue asks for waking", "[base][mpsc_queue]") {
  mpsc_queue<job> queue;
  job a, b;
  CHECK(queue.push(a));
  CHECK_FALSE(queue.push(b));
  queue.take_all();
  CHECK(queue.push(a));
}

TEST_CASE("mpsc_queue: a job may be pushed again once it was taken", "[base][mpsc_queue]") {
  mpsc_queue<job> queue;
  job a, b;
  queue.push(a);
  queue.push(b);
  job* const taken = queue.take_all();
  job* const after = taken->next;
  queue.push(*taken);
  CHECK(after == &b);
  CHECK(queue.take_all() == &a);
  CHECK(a.next == nullptr);
}

TEST_CASE("mpsc_queue: many threads lose nothing, and each one's jobs keep their order", "[base][mpsc_queue]") {
  mpsc_queue<job> queue;
  std::vector<std::vector<job>> jobs(producers, std::vector<job>(jobs_each));
  std::atomic<int> wakes = 0;
  std::vector<std::thread> threads;
  for (int producer = 0; producer < producers; ++producer) {
    threads.emplace_back([&, producer] {
      int number = 0;
      for (job& one : jobs[static_cast<std::size_t>(producer)]) {
        one.producer = producer;
        one.number = number++;
        if (queue.push(one)) wakes.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  tally seen;
  int batches = 0;
  while (seen.taken < producers * jobs_each) {
    job* const taken = queue.take_all();
    if (taken == nullptr) std::this_thread::yield();
    batches += taken != nullptr ? 1 : 0;
    seen.count(taken);
  }
  for (auto& thread : threads) thread.join();
  CHECK(seen.in_order);
  CHECK(seen.taken == producers * jobs_each);
  CHECK(queue.empty());
  // each batch began with one push into an empty queue
  CHECK(wakes == batches);
}
