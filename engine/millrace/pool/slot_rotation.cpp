// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/slot_rotation.hpp>

#include <millrace/loop/loop.hpp>

#include <utility>

namespace millrace {

slot_rotation::slot_rotation(loop& on, rotation_host& host, rotation_params const& params, std::uint32_t endpoint)
    : loop_(on), host_(host), endpoint_(endpoint), machine_(params, on.random()) {}

void slot_rotation::on_ready(std::uint32_t slot, time_point replace_at) {
  if (slot == replacement_)
    step(rotation_event::replacement_ready{slot, replace_at});
  else
    step(rotation_event::ready{slot, replace_at});
}

void slot_rotation::on_gone(std::uint32_t slot) {
  if (slot == replacement_)
    step(rotation_event::replacement_failed{});
  else
    step(rotation_event::gone{slot});
}

void slot_rotation::step(decltype(rotation_event_at::what) what) {
  pump_.feed({loop_.now(), what}, [this](rotation_event_at const& event) {
    for (rotation_action_any const& action : machine_.step(event)) {
      std::visit([this](auto const& one) { do_it(one); }, action);
    }
  });
}

void slot_rotation::do_it(rotation_action::open_replacement action) {
  replaced_ = action.slot;
  replacement_ = host_.open_replacement(endpoint_, action.slot, action.why);
}

// who was to take over has, or is a slot like any other from now on
void slot_rotation::do_it(rotation_action::drain action) {
  replacement_.reset();
  host_.drain_slot(action.slot);
}

void slot_rotation::do_it(rotation_action::give_up) {
  if (auto const one = std::exchange(replacement_, std::nullopt)) host_.drain_slot(*one);
}

void slot_rotation::do_it(rotation_action::arm action) { loop_.arm(timer_, action.at); }

void slot_rotation::do_it(rotation_action::disarm) { loop_.disarm(timer_); }

}  // namespace millrace
