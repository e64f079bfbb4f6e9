// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>

#include <memory>

namespace millrace {
class loop;
}

namespace millrace::resolve::impl {

/// Lets other threads call something on a loop's thread, with no harm if it, or the loop, is gone by then.
///
/// Thread: the loop's. It is destroyed before the loop, and calls nobody from then on.
class doorbell {
  class bell;

 public:
  /// What other threads hold; it may outlive the doorbell and the loop. Copies freely.
  class button {
   public:
    /// Any thread. `rung` will be called on the loop's thread: once for all presses before it, never from inside.
    void press() const noexcept;

    bool operator==(button const&) const = default;

   private:
    friend class doorbell;
    explicit button(std::shared_ptr<bell> of) noexcept : bell_(std::move(of)) {}

    std::shared_ptr<bell> bell_;
  };

  doorbell(loop& on, bound<void()> rung);
  doorbell(doorbell const&) = delete;
  doorbell& operator=(doorbell const&) = delete;
  ~doorbell();

  button make_button() const noexcept { return button(bell_); }

 private:
  // shared with buttons, and with the loop while it is to be rung: whoever lets go last frees it
  std::shared_ptr<bell> bell_;
};

}  // namespace millrace::resolve::impl
