// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/impl/doorbell.hpp>

#include <millrace/loop/loop.hpp>

#include <mutex>
#include <utility>

namespace millrace::resolve::impl {

class doorbell::bell final : public operation, public std::enable_shared_from_this<bell> {
 public:
  bell(loop& on, bound<void()> rung) noexcept : operation(&bell::run), loop_(&on), rung_(rung) {}

  // under the lock, so that the doorbell, and then the loop, cannot go meanwhile
  void press() noexcept {
    std::lock_guard const lock(mutex_);
    if (loop_ == nullptr || on_its_way_ != nullptr) return;
    on_its_way_ = shared_from_this();
    loop_->submit(*this);
  }

  void remove() noexcept {
    std::lock_guard const lock(mutex_);
    loop_ = nullptr;
  }

 private:
  static void run(operation& self, completion how) {
    auto& one = static_cast<bell&>(self);
    std::shared_ptr<bell> alive;
    {
      std::lock_guard const lock(one.mutex_);
      alive = std::exchange(one.on_its_way_, nullptr);
      if (one.loop_ == nullptr || how == completion::abandoned) return;
    }
    // `remove` is called on this thread, so not now
    one.rung_();
  }

  std::mutex mutex_;
  loop* loop_;  // null: the doorbell is gone
  std::shared_ptr<bell> on_its_way_;
  bound<void()> rung_;
};

void doorbell::button::press() const noexcept { bell_->press(); }

doorbell::doorbell(loop& on, bound<void()> rung) : bell_(std::make_shared<bell>(on, rung)) {}

doorbell::~doorbell() { bell_->remove(); }

}  // namespace millrace::resolve::impl
