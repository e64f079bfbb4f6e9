// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace millrace {

/// Recycles memory blocks by size, so that calls, attempts and handlers in steady state never reach the heap.
/// One thread owns a pool; a block from `allocate_elsewhere` (any thread) may be given back to any pool.
class block_pool {
 public:
  block_pool() noexcept = default;
  block_pool(block_pool const&) = delete;
  block_pool& operator=(block_pool const&) = delete;
  ~block_pool() {
    for (shelf& one : shelves_) {
      while (one.top != nullptr) ::operator delete(one.pop());
    }
  }

  void* allocate(std::size_t size) {
    std::size_t const at = shelf_of(size);
    if (at < shelves_.size() && shelves_[at].top != nullptr) return shelves_[at].pop();
    return allocate_elsewhere(size);
  }

  /// A block for a pool, made by a thread that does not own it.
  static void* allocate_elsewhere(std::size_t size) { return ::operator new((shelf_of(size) + 1) * grain); }

  void deallocate(void* block, std::size_t size) noexcept {
    std::size_t const at = shelf_of(size);
    if (at < shelves_.size() && shelves_[at].count < keep) {
      shelves_[at].push(block);
    } else {
      ::operator delete(block);
    }
  }

 private:
  static constexpr std::size_t grain = 64;    // a cache line
  static constexpr std::size_t keep = 16384;  // blocks a shelf holds back at most

  struct shelf {
    void push(void* block) noexcept {
      top = ::new (block) link{top};
      ++count;
    }
    void* pop() noexcept {
      link* const block = top;
      top = block->next;
      --count;
      return block;
    }
    struct link {
      link* next;
    };
    link* top = nullptr;
    std::size_t count = 0;
  };

  static constexpr std::size_t shelf_of(std::size_t size) noexcept { return size == 0 ? 0 : (size - 1) / grain; }

  std::array<shelf, 64> shelves_;  // up to 4 KiB; larger blocks go to the heap
};

}  // namespace millrace
