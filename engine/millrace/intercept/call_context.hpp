// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/held_call.hpp>
#include <millrace/intercept/hook.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

namespace millrace {

class metadata;

/// What a hook sees of its call, and the little it may change. One a call, kept by the call's driver; it lives, with the
/// metadata, until the call is over and no held_call is out.
///
/// Thread: the loop's.
class call_context {
 public:
  /// All three outlive the context. The driver keeps the rest current with the setters below before each stage.
  call_context(std::string_view method, metadata& request_metadata, hold_target& target) noexcept
      : method_(method), request_metadata_(&request_metadata), target_(&target) {}
  call_context(call_context const&) = delete;
  call_context& operator=(call_context const&) = delete;

  /// `/package.Service/Method`.
  std::string_view method() const noexcept { return method_; }

  /// What every attempt sends. Add to it in `on_start` (or before resuming a hold of `on_start`); later is too late.
  metadata& request_metadata() noexcept { return *request_metadata_; }

  time_point now() const noexcept { return now_; }

  /// When the call began.
  time_point started_at() const noexcept { return started_at_; }

  /// When the call ends at the latest; `never` without a deadline.
  time_point deadline() const noexcept { return deadline_; }

  /// Brings the deadline forward to `at`. False, and nothing changes, outside `on_start` or when `at` is no earlier.
  bool shorten_deadline(time_point at) noexcept {
    if (stage_ != hook::start || at >= deadline_) return false;
    deadline_ = at;
    return true;
  }

  /// Attempts begun so far.
  std::uint32_t attempts() const noexcept { return attempts_; }

  /// Takes the handle that resumes this call; the hook then returns `hold`. A call has one handle: while one is out (a hook
  /// took it and returned something else, or the call ended while held) this gives an empty one.
  [[nodiscard]] held_call hold_call() noexcept {
    handle_taken_ = !std::exchange(handle_out_, true);
    return handle_taken_ ? held_call{*target_} : held_call{};
  }

  // -- for the driver

  /// When the call began; also its first `now`.
  void set_started(time_point at) noexcept { started_at_ = now_ = at; }
  void set_now(time_point now) noexcept { now_ = now; }
  void set_deadline(time_point at) noexcept { deadline_ = at; }
  void set_attempts(std::uint32_t attempts) noexcept { attempts_ = attempts; }

  /// True while some interceptor has the handle: `hold_target::resume` is still to come, so the driver must stay.
  bool handle_out() const noexcept { return handle_out_; }

 private:
  friend class chain_machine;

  std::string_view method_;
  metadata* request_metadata_;
  hold_target* target_;
  time_point now_{};
  time_point started_at_{};
  time_point deadline_ = never;
  std::uint32_t attempts_ = 0;
  hook stage_ = hook::start;
  bool handle_out_ = false;
  bool handle_taken_ = false;  // the latest hold_call of this run gave a handle
};

}  // namespace millrace
