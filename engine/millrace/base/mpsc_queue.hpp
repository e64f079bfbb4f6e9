// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace millrace {

/// A lock-free queue that many threads push to and one thread empties. `T` has a member `T* next`.
template <class T>
class mpsc_queue {
 public:
  /// Any thread. True when the queue was empty. Sequentially consistent, and so is `empty`: a consumer that announces its sleep
  /// and then finds the queue empty is seen asleep by whoever pushes next.
  bool push(T& element) noexcept {
    T* head = head_.load(std::memory_order_relaxed);
    do {
      element.next = head;
    } while (!head_.compare_exchange_weak(head, &element, std::memory_order_seq_cst, std::memory_order_relaxed));
    return head == nullptr;
  }

  /// The consumer. Takes all there is, first pushed first, linked through `next`; null when empty.
  T* take_all() noexcept {
    if (head_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    T* newest = head_.exchange(nullptr, std::memory_order_acquire);
    T* oldest = nullptr;
    while (newest != nullptr) {
      T* const older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    return oldest;
  }

  bool empty() const noexcept { return head_.load() == nullptr; }

 private:
  std::atomic<T*> head_ = nullptr;
};

}  // namespace millrace
