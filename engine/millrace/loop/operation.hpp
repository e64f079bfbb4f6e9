// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace {

/// How an operation came back.
enum class completion {
  ok,         ///< It did what it was started for.
  not_ok,     ///< gRPC's `ok == false`; what that means differs by kind (grpcpp/completion_queue.h, at Next).
  abandoned,  ///< The loop refused or outlived it: free what you hold and call nobody.
};

/// Something a loop runs once: a posted function, or, as a tag of the completion queue, whatever waits for gRPC.
/// Two words; its address is the tag. Whoever schedules it keeps it alive until it is completed.
class operation {
 public:
  using function = void (*)(operation&, completion);

  explicit operation(function complete) noexcept : complete_(complete) {}
  operation(operation const&) = delete;
  operation& operator=(operation const&) = delete;

  void complete(completion how) { complete_(*this, how); }

  /// For the queue it stands in.
  operation* next = nullptr;

 protected:
  ~operation() = default;

 private:
  function complete_;
};

}  // namespace millrace
