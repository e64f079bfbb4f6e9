// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace {

/// The calls in flight on a slot that others than its loop make, and, for them, those of the loop. The slot and they share it;
/// whoever goes last frees it.
class outside_calls {
 public:
  /// Any thread.
  std::uint32_t count() const noexcept { return std::atomic_ref(count_).load(std::memory_order_relaxed); }

  /// With those of the slot's loop. Any thread.
  std::uint32_t all() const noexcept { return count() + std::atomic_ref(own_).load(std::memory_order_relaxed); }

  /// The slot's loop has so many.
  void tell_own(std::uint32_t calls) noexcept { std::atomic_ref(own_).store(calls, std::memory_order_relaxed); }

  // for those who make the calls, one at a time

  void add() noexcept { store(count_ + 1); }
  void remove() noexcept { store(count_ - 1); }

  /// As pickers read it.
  std::uint32_t const& plain() const noexcept { return count_; }

 private:
  void store(std::uint32_t value) noexcept { std::atomic_ref(count_).store(value, std::memory_order_relaxed); }

  alignas(std::atomic_ref<std::uint32_t>::required_alignment) mutable std::uint32_t count_ = 0;
  alignas(std::atomic_ref<std::uint32_t>::required_alignment) mutable std::uint32_t own_ = 0;
};

}  // namespace millrace
