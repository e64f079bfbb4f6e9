// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace millrace {

/// A place in an intrusive_list. Unlinks itself when destroyed, so an element may die while listed.
class list_hook {
 public:
  list_hook() noexcept = default;
  list_hook(list_hook const&) = delete;
  list_hook& operator=(list_hook const&) = delete;
  ~list_hook() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }

  void unlink() noexcept {
    if (!linked()) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  template <class T, class Tag>
  friend class intrusive_list;

  void insert_before(list_hook& at) noexcept {
    prev_ = at.prev_;
    next_ = &at;
    prev_->next_ = this;
    at.prev_ = this;
  }

  list_hook* prev_ = nullptr;
  list_hook* next_ = nullptr;
};

/// A list_hook with a name, so that one object can stand in several lists: `class slot : list_base<ready_tag>`.
template <class Tag>
class list_base : public list_hook {};

/// A doubly linked list that owns nothing and allocates nothing. `T` derives from `list_base<Tag>`.
template <class T, class Tag>
class intrusive_list {
 public:
  intrusive_list() noexcept { head_.prev_ = head_.next_ = &head_; }
  intrusive_list(intrusive_list const&) = delete;
  intrusive_list& operator=(intrusive_list const&) = delete;
  ~intrusive_list() {
    while (try_pop_front() != nullptr) {
    }
    head_.prev_ = head_.next_ = nullptr;
  }

  bool empty() const noexcept { return head_.next_ == &head_; }

  void push_back(T& element) noexcept { hook(element).insert_before(head_); }
  void push_front(T& element) noexcept { hook(element).insert_before(*head_.next_); }

  /// The first element; null when empty.
  T* front() noexcept { return empty() ? nullptr : &element(*head_.next_); }

  /// The element after `at`; null at the end.
  T* after(T& at) noexcept {
    list_hook* const next = hook(at).next_;
    return next == &head_ ? nullptr : &element(*next);
  }

  /// Removes and returns the first element; null when empty.
  T* try_pop_front() noexcept {
    if (empty()) return nullptr;
    list_hook& first = *head_.next_;
    first.unlink();
    return &element(first);
  }

  /// Moves every element of `other` to the end of this list.
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty()) return;
    list_hook* const first = other.head_.next_;
    list_hook* const last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

  /// Calls `visit(T&)` on each element; `visit` may unlink the element it is given, and no other.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (list_hook* at = head_.next_; at != &head_;) {
      list_hook* const next = at->next_;
      visit(element(*at));
      at = next;
    }
  }

 private:
  static list_hook& hook(T& element) noexcept { return static_cast<list_base<Tag>&>(element); }
  static T& element(list_hook& hook) noexcept { return static_cast<T&>(static_cast<list_base<Tag>&>(hook)); }

  list_hook head_;
};

}  // namespace millrace
