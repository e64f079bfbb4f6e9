// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace {

/// A place in an intrusive_heap.
class heap_hook {
 public:
  heap_hook() noexcept = default;
  heap_hook(heap_hook const&) = delete;
  heap_hook& operator=(heap_hook const&) = delete;

 private:
  template <class T, class Before>
  friend class intrusive_heap;

  heap_hook* child_ = nullptr;  // leftmost child
  heap_hook* next_ = nullptr;   // right sibling
  heap_hook* prev_ = nullptr;   // left sibling, or the parent of a leftmost child
};

/// A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) that allocates nothing: insertion O(1), removal O(log n)
/// amortised. It suits deadlines: most are set later than the first and taken out before they fall due, both O(1) here.
/// `T` derives from heap_hook; `Before{}(a, b)` says whether `a` leaves first.
template <class T, class Before>
class intrusive_heap {
 public:
  intrusive_heap() noexcept = default;
  intrusive_heap(intrusive_heap const&) = delete;
  intrusive_heap& operator=(intrusive_heap const&) = delete;

  bool empty() const noexcept { return root_ == nullptr; }

  /// The element that leaves first; null when empty.
  T* top() const noexcept { return static_cast<T*>(root_); }

  void insert(T& element) noexcept {
    heap_hook& node = element;
    node.child_ = node.next_ = node.prev_ = nullptr;
    root_ = root_ == nullptr ? &node : meld(root_, &node);
  }

  /// Takes out an element that is in the heap.
  void remove(T& element) noexcept {
    heap_hook& node = element;
    if (&node == root_) {
      root_ = meld_pairs(node.child_);
    } else {
      cut(node);
      if (heap_hook* const rest = meld_pairs(node.child_)) root_ = meld(root_, rest);
    }
    node.child_ = nullptr;
  }

 private:
  static void cut(heap_hook& node) noexcept {
    (node.prev_->child_ == &node ? node.prev_->child_ : node.prev_->next_) = node.next_;
    if (node.next_ != nullptr) node.next_->prev_ = node.prev_;
    node.next_ = node.prev_ = nullptr;
  }

  // both are roots without siblings
  static heap_hook* meld(heap_hook* a, heap_hook* b) noexcept {
    if (Before{}(static_cast<T const&>(*b), static_cast<T const&>(*a))) {
      heap_hook* const swap = a;
      a = b;
      b = swap;
    }
    b->prev_ = a;
    b->next_ = a->child_;
    if (a->child_ != nullptr) a->child_->prev_ = b;
    a->child_ = b;
    return a;
  }

  // pairs left to right, then folds right to left; without recursion, since a root may have a million children
  static heap_hook* meld_pairs(heap_hook* first) noexcept {
    heap_hook* pairs = nullptr;  // a stack, linked through next_
    while (first != nullptr) {
      heap_hook* const a = first;
      heap_hook* const b = a->next_;
      first = b != nullptr ? b->next_ : nullptr;
      a->next_ = a->prev_ = nullptr;
      heap_hook* pair = a;
      if (b != nullptr) {
        b->next_ = b->prev_ = nullptr;
        pair = meld(a, b);
      }
      pair->next_ = pairs;
      pairs = pair;
    }
    heap_hook* root = nullptr;
    while (pairs != nullptr) {
      heap_hook* const pair = pairs;
      pairs = pair->next_;
      pair->next_ = nullptr;
      root = root == nullptr ? pair : meld(root, pair);
    }
    return root;
  }

  heap_hook* root_ = nullptr;
};

}  // namespace millrace
