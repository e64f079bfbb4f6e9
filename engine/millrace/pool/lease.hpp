// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>
#include <millrace/pool/permit.hpp>

#include <utility>

namespace millrace {

/// One stream's worth of a slot, for code that makes its own gRPC calls on the pool's channels: movable, released when
/// destroyed. Say how the call went with `release`, so that the picker learns; silent destruction counts as cancelled.
///
/// Thread: the loop's.
class lease {
 public:
  lease() noexcept = default;
  lease(lease&& other) noexcept : loop_(other.loop_), block_(std::exchange(other.block_, nullptr)) {}
  lease& operator=(lease&& other) noexcept {
    lease taken(std::move(other));
    std::swap(loop_, taken.loop_);
    std::swap(block_, taken.block_);
    return *this;
  }
  ~lease() { release(status_code::cancelled); }

  explicit operator bool() const noexcept { return block_ != nullptr; }

  /// The rest needs a lease that is not empty.
  millrace::channel& channel() const noexcept { return block_->right.channel(); }
  std::string_view endpoint() const noexcept { return block_->right.endpoint(); }
  std::uint32_t slot_number() const noexcept { return block_->right.slot_number(); }

  /// The pool has given up waiting for it (its drain's grace is over, or it is gone): end your call and release.
  bool revoked() const noexcept { return block_->revoked; }

  /// The server has said something, headers or a message. To be told of what goes on for long: a pool takes connections whose calls
  /// run into their deadline for dead when nothing else was heard on them.
  void received() noexcept { block_->right.received(); }

  void release(call_outcome outcome) noexcept {
    if (block* const one = std::exchange(block_, nullptr)) {
      one->right.release(outcome);
      one->~block();
      loop_->deallocate(one, sizeof(block));
    }
  }

 private:
  friend class pool;

  struct block {
    permit right{bound<void()>::to<&block::on_revoke>(*this)};
    bool revoked = false;
    void on_revoke() noexcept { revoked = true; }
  };

  explicit lease(loop& on) : loop_(&on), block_(::new (on.allocate(sizeof(block))) block) {}

  loop* loop_ = nullptr;
  block* block_ = nullptr;
};

}  // namespace millrace
