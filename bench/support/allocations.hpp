// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace::bench {

/// How often any thread of this program has asked the heap for a block, gRPC's threads and `realloc` included. 0 under a
/// sanitizer, which has an allocator of its own.
std::uint64_t allocation_count() noexcept;

}  // namespace millrace::bench
