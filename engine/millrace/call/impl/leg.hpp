// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>
#include <millrace/base/bound.hpp>
#include <millrace/call/stream_attempt.hpp>
#include <millrace/pool/permit.hpp>
#include <millrace/time/timer.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace millrace {

class active_call;

namespace impl {

/// One attempt of a call: its permit, what is on the wire, its own time. A call has one of its own, for one attempt after the
/// other, and one more for each hedge, and for a retry while the attempt before is not given back, in blocks of the loop's.
class leg final : public stream_listener {
 public:
  leg(active_call& of, bool is_hedge) noexcept : call(of), hedge(is_hedge) {}
  leg(leg const&) = delete;
  leg& operator=(leg const&) = delete;
  ~leg() { drop(); }

  void drop() noexcept {
    if (wire != nullptr) std::exchange(wire, nullptr)->release();
  }

  active_call& call;
  bool const hedge;
  bool out = false;       // its completion is still to come
  bool overdue = false;   // cut off by its own time
  bool evicted = false;   // or with its endpoint, while others were in flight
  bool heard = false;     // its stream has begun
  bool forsaken = false;  // its call goes on, or has ended, without it
  std::uint32_t number = 0;
  std::uint32_t slot = balance::nobody;
  permit right{bound<void()>::to<&leg::on_revoke>(*this)};
  attempt* wire = nullptr;
  time_point started{};
  std::optional<timer> time_up{};  // per_attempt_timeout, then cut_grace
  leg* next = nullptr;             // the one made before

  // active_call's affair

  void end_at(time_point at) noexcept;

  // unary_call's

  void on_back(completion how);

  // stream_call's

  void hear() noexcept {
    heard = true;
    right.received();
  }
  void on_headers() override;
  void on_got(message&& one) override;
  void on_wrote(bool ok) override;
  void on_over(completion how) override;

 private:
  void on_revoke() noexcept;
  void on_time_up() noexcept;
  void cut_short() noexcept;
};

}  // namespace impl
}  // namespace millrace
