// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/fork.hpp>

#include <pthread.h>

#include <atomic>

namespace millrace {
namespace {

constinit std::atomic<std::uint32_t> count = 0;

}  // namespace

std::uint32_t forks() noexcept {
  static int const registered = pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(registered);
  return count.load(std::memory_order_relaxed);
}

}  // namespace millrace
