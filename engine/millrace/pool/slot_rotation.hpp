// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/pool/rotation.hpp>
#include <millrace/time/timer.hpp>

#include <cstdint>
#include <optional>

namespace millrace {

class loop;

/// What replacing the slots of one endpoint needs of their pool. Slots are named by number.
class rotation_host {
 public:
  /// Opens another slot to the endpoint and returns its number.
  virtual std::uint32_t open_replacement(std::uint32_t endpoint, std::uint32_t of, rotation_reason why) = 0;
  /// No new calls to it; those it has finish.
  virtual void drain_slot(std::uint32_t slot) = 0;

 protected:
  ~rotation_host() = default;
};

/// Drives one endpoint's rotation: its timer, and which slot is whose replacement.
class slot_rotation {
 public:
  /// Expects validated params. All outlive it.
  slot_rotation(loop& on, rotation_host& host, rotation_params const& params, std::uint32_t endpoint);
  slot_rotation(slot_rotation const&) = delete;
  slot_rotation& operator=(slot_rotation const&) = delete;

  /// The slot that is to take over; none when no replacement is under way.
  std::optional<std::uint32_t> replacement() const noexcept { return replacement_; }

  /// The slot that it is to take over from; only while there is a replacement.
  std::uint32_t replaced() const noexcept { return replaced_; }

  /// A slot, or the replacement, has a connection, which is to be replaced at `replace_at` for its age.
  void on_ready(std::uint32_t slot, time_point replace_at);
  /// A slot has none any more, or the replacement got none.
  void on_gone(std::uint32_t slot);
  void want(std::uint32_t slot, rotation_reason why) { step(rotation_event::wanted{slot, why}); }

 private:
  void step(decltype(rotation_event_at::what) what);
  void do_it(rotation_action::open_replacement action);
  void do_it(rotation_action::drain action);
  void do_it(rotation_action::give_up);
  void do_it(rotation_action::arm action);
  void do_it(rotation_action::disarm);
  void on_timer() { step(rotation_event::elapsed{}); }

  loop& loop_;
  rotation_host& host_;
  std::uint32_t const endpoint_;
  rotation machine_;
  event_pump<rotation_event_at> pump_;
  std::optional<std::uint32_t> replacement_;
  std::uint32_t replaced_ = 0;
  timer timer_{bound<void()>::to<&slot_rotation::on_timer>(*this)};
};

}  // namespace millrace
