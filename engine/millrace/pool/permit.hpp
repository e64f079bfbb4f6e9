// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/base/intrusive_list.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/pool/channel.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string_view>

namespace millrace {

class slot;

struct permit_tag;

/// How what a permit was for has ended. DEADLINE_EXCEEDED is taken for this side's deadline unless it is said to be an answer.
struct call_outcome {
  call_outcome(status_code ended_with) noexcept : call_outcome(ended_with, false) {}
  call_outcome(status_code ended_with, bool by_the_server) noexcept
      : code(ended_with), unanswered(ended_with == status_code::deadline_exceeded && !by_the_server) {}

  status_code code;
  bool unanswered;              ///< Its time was up, and its server had said nothing about it.
  bool too_many_pings = false;  ///< Its connection was closed for that.
};

/// The right to one stream on a slot, from a pick until the attempt is over. Embedded in whatever makes the attempt; releases
/// itself when destroyed. `lease` is the form for users.
class permit : private list_base<permit_tag> {
 public:
  /// `on_revoke` is called when the pool gives up waiting for this permit (its drain's grace is over, or the pool goes): end the
  /// attempt and release. May be called from a destructor, so it must not call user code.
  explicit permit(bound<void()> on_revoke) noexcept : on_revoke_(on_revoke) {}
  ~permit() {
    if (held()) release(status_code::cancelled);
  }

  bool held() const noexcept { return channel_ != nullptr; }

  /// The rest needs a held permit.
  millrace::channel& channel() const noexcept { return *channel_; }

  /// The slot's number and its endpoint. They stay readable after the pool is gone, while the permit is held.
  std::uint32_t slot_number() const noexcept { return slot_number_; }
  std::uint32_t endpoint_number() const noexcept { return endpoint_number_; }
  std::string_view endpoint() const noexcept { return channel_->endpoint(); }

  /// The server has said something, headers or a message: it responds, though this may go on for long.
  void received() noexcept;

  /// Tells the picker and the endpoint's health how it went, once, although the stream cannot be given back yet.
  void report(call_outcome outcome) noexcept;

  /// Gives the stream back, and reports, unless that was done. Nothing when not held.
  void release(call_outcome outcome) noexcept;

 private:
  friend class slot;
  template <class T, class Tag>
  friend class intrusive_list;

  void revoke() noexcept {
    if (on_revoke_) on_revoke_();
  }

  bound<void()> on_revoke_;
  slot* slot_ = nullptr;  // null while the pool is gone
  millrace::channel* channel_ = nullptr;
  std::uint32_t slot_number_ = 0;
  std::uint32_t endpoint_number_ = 0;
  bool reported_ = false;
  time_point taken_{};
};

}  // namespace millrace
