// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/hook_result.hpp>

#include <string>
#include <utility>

namespace millrace {

/// What a held_call resumes: the driver of the call.
class hold_target {
 public:
  /// Goes on with `proceed` or `finish`. Called exactly once for each held_call handed out, from any thread and perhaps while
  /// the hook that took it still runs: queue it on the call's loop and return.
  virtual void resume(hook_result result) noexcept = 0;

 protected:
  ~hold_target() = default;
};

/// A call that waits for an interceptor. One word; resume it once, on any thread, however late: the call stays allocated until
/// then, and a resume after it ended (deadline, cancellation) does nothing. Destroying an unused one finishes the call with
/// CANCELLED.
class held_call {
 public:
  /// Holds nothing; resuming it does nothing.
  held_call() noexcept = default;
  explicit held_call(hold_target& target) noexcept : target_(&target) {}

  held_call(held_call&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  held_call& operator=(held_call&& other) noexcept {
    held_call taken(std::move(other));
    std::swap(target_, taken.target_);
    return *this;
  }
  ~held_call() {
    if (target_ != nullptr) finish(status_code::cancelled, "an interceptor dropped the call it held");
  }

  explicit operator bool() const noexcept { return target_ != nullptr; }

  /// The call goes on with the next interceptor.
  void proceed() noexcept { resume(millrace::proceed); }

  /// The call ends with `end`; held in `on_done`, `end` replaces the status it has.
  void finish(status end) noexcept { resume(millrace::finish(std::move(end))); }
  void finish(status_code code, std::string message) noexcept { resume(millrace::finish(code, std::move(message))); }

 private:
  void resume(hook_result result) noexcept {
    if (hold_target* const target = std::exchange(target_, nullptr)) target->resume(std::move(result));
  }

  hold_target* target_ = nullptr;
};

static_assert(sizeof(held_call) == sizeof(void*));

}  // namespace millrace
