// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace millrace::test {

/// Whose code asked for memory: that of the innermost frame which is not the C or C++ library's.
struct heap_counts {
  std::uint64_t engine = 0;    ///< This program: the engine, Asio and the test, whose own code here allocates nothing.
  std::uint64_t slices = 0;    ///< gRPC's, but this program asked it for memory: a slice, a byte buffer.
  std::uint64_t grpc = 0;      ///< gRPC's libraries and headers, and the libraries under them.
  std::uint64_t protobuf = 0;  ///< Protobuf's library and headers, and the code it generated.
  std::uint64_t nobody = 0;    ///< No frame on the stack is anyone's.
};

/// Counts what this thread takes from the heap (malloc and its kin, under every operator new) while one of these lives.
/// One at a time.
class heap_watch {
 public:
  heap_watch();
  ~heap_watch();
  heap_watch(heap_watch const&) = delete;
  heap_watch& operator=(heap_watch const&) = delete;

  /// Ends the counting, and says whose each allocation was.
  heap_counts stop();

  /// After `stop`: where the engine's allocations came from, most frequent first, for a failure's message.
  std::string const& engine_stacks() const noexcept { return engine_stacks_; }

 private:
  std::string engine_stacks_;
};

}  // namespace millrace::test
