// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/rotation.hpp>

#include <millrace/base/rng.hpp>
#include <millrace/retry/impl/refuse.hpp>

#include <algorithm>
#include <string>

namespace millrace {

using namespace rotation_action;

void validate(rotation_params const& params, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (params.spread < duration::zero()) refuse(field_prefix, "spread", text(params.spread), "0ms or more");
  validate(params.backoff, std::string(field_prefix) + ".backoff");
}

std::string_view to_string(rotation_reason reason) noexcept {
  switch (reason) {
    case rotation_reason::unresponsive: return "unresponsive";
    case rotation_reason::asked: return "asked";
    case rotation_reason::age: return "age";
  }
  return "unknown";
}

std::string_view to_string(rotation_state state) noexcept {
  switch (state) {
    case rotation_state::resting: return "resting";
    case rotation_state::replacing: return "replacing";
    case rotation_state::backing_off: return "backing off";
  }
  return "unknown";
}

rotation::rotation(rotation_params const& params, rng& random) noexcept
    : params_(params), random_(random), backoff_(params.backoff) {}

rotation_actions rotation::step(rotation_event_at const& event) noexcept {
  return std::visit([&](auto const& what) { return on(event.now, what); }, event.what);
}

rotation_actions rotation::on(time_point, rotation_event::ready event) noexcept {
  rotation_actions actions;
  put(event.slot, event.replace_at);
  arm_for_next(actions);
  return actions;
}

rotation_actions rotation::on(time_point now, rotation_event::gone event) noexcept {
  rotation_actions actions;
  remove(event.slot);
  if (state_ == rotation_state::replacing && event.slot == current_.slot) {
    actions.push_back(drain{current_.slot, current_.why});
    rest(now, actions);
  } else {
    arm_for_next(actions);
  }
  return actions;
}

rotation_actions rotation::on(time_point now, rotation_event::wanted event) noexcept {
  rotation_actions actions;
  candidate* const one = find(event.slot);
  // without a connection there is nothing to replace
  if (one == nullptr || event.why > one->why) return actions;
  // asked for again: it has its time
  if (event.why == one->why && event.why != rotation_reason::age) return actions;
  one->why = event.why;
  one->due = std::min(one->due, within_spread(now));
  arm_for_next(actions);
  return actions;
}

rotation_actions rotation::on(time_point now, rotation_event::replacement_ready event) noexcept {
  rotation_actions actions;
  if (state_ != rotation_state::replacing) return actions;
  backoff_.reset();
  remove(current_.slot);
  put(event.slot, event.replace_at);
  actions.push_back(drain{current_.slot, current_.why});
  rest(now, actions);
  return actions;
}

rotation_actions rotation::on(time_point now, rotation_event::replacement_failed) noexcept {
  rotation_actions actions;
  if (state_ != rotation_state::replacing) return actions;
  enter(rotation_state::backing_off);
  armed_ = saturating_add(now, backoff_.next(random_));
  actions.push_back(give_up{current_.slot, current_.why});
  actions.push_back(arm{armed_});
  return actions;
}

rotation_actions rotation::on(time_point now, rotation_event::elapsed) noexcept {
  rotation_actions actions;
  // an early or a late timer: it is not this machine's any more
  if (state_ == rotation_state::replacing || now < armed_) return actions;
  armed_ = never;
  enter(rotation_state::resting);
  if (candidate const* const next = most_urgent(now)) {
    current_ = *next;
    enter(rotation_state::replacing);
    actions.push_back(open_replacement{current_.slot, current_.why});
  } else {
    arm_for_next(actions);
  }
  return actions;
}

rotation::candidate* rotation::find(std::uint32_t slot) noexcept {
  auto const one =
      std::find_if(candidates_.begin(), candidates_.end(), [=](candidate const& each) { return each.slot == slot; });
  return one == candidates_.end() ? nullptr : &*one;
}

rotation::candidate const* rotation::most_urgent(time_point now) const noexcept {
  candidate const* best = nullptr;
  for (candidate const& one : candidates_) {
    if (one.due > now) continue;
    if (best == nullptr || one.why < best->why || (one.why == best->why && one.due < best->due)) best = &one;
  }
  return best;
}

void rotation::put(std::uint32_t slot, time_point replace_at) noexcept {
  candidate const fresh{.slot = slot, .due = replace_at, .why = rotation_reason::age};
  if (candidate* const one = find(slot)) {
    *one = fresh;
  } else {
    candidates_.push_back(fresh);
  }
}

void rotation::remove(std::uint32_t slot) noexcept {
  std::erase_if(candidates_, [=](candidate const& one) { return one.slot == slot; });
}

time_point rotation::within_spread(time_point now) noexcept {
  return saturating_add(now, std::chrono::duration_cast<duration>(params_.spread * random_.uniform()));
}

void rotation::rest(time_point now, rotation_actions& actions) noexcept {
  enter(rotation_state::resting);
  not_before_ = within_spread(now);
  arm_for_next(actions);
}

// only a rest is timed by who is due: the other states have an end of their own
void rotation::arm_for_next(rotation_actions& actions) noexcept {
  if (state_ != rotation_state::resting) return;
  time_point next = never;
  for (candidate const& one : candidates_) next = std::min(next, one.due);
  if (next != never) next = std::max(next, not_before_);
  if (next == armed_) return;
  armed_ = next;
  if (next == never) {
    actions.push_back(disarm{});
  } else {
    actions.push_back(arm{next});
  }
}

}  // namespace millrace
