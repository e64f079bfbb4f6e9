// SPDX-License-Identifier: Apache-2.0
#include "allocations.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)

std::uint64_t millrace::bench::allocation_count() noexcept { return 0; }

#else

namespace {

struct alignas(64) counter {
  std::atomic<std::uint64_t> count;
};

// a thread counts in a place of its own, without a locked instruction; beyond so many they share, and may lose a count
constinit std::array<counter, 1024> counters{};
constinit std::atomic<unsigned> threads{0};
constinit thread_local std::atomic<std::uint64_t>* own = nullptr;

void count_one() noexcept {
  if (own == nullptr) own = &counters[threads.fetch_add(1, std::memory_order_relaxed) % counters.size()].count;
  own->store(own->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t millrace::bench::allocation_count() noexcept {
  std::uint64_t sum = 0;
  for (counter const& one : counters) sum += one.count.load(std::memory_order_relaxed);
  return sum;
}

// glibc's own names for what these replace, in this program and in every library it loads
extern "C" {

void* __libc_malloc(std::size_t size);                           // NOLINT
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT
void* __libc_realloc(void* block, std::size_t size);             // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT

void* malloc(std::size_t size) {
  count_one();
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  count_one();
  return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) {
  count_one();
  return __libc_realloc(block, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  count_one();
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif
