// SPDX-License-Identifier: Apache-2.0
#include <load/narrator.hpp>

#include <load/report.hpp>

#include <fmt/format.h>

namespace millrace::load {

void narrator::say(time_point now, std::string_view what) const {
  if (to_ == nullptr) return;
  std::fputs(narration(now - start_, what).c_str(), to_);
  std::fflush(to_);
}

void narrator::on(events::slot_changed const& event) noexcept {
  measure(event);
  if (to_ != nullptr) tell(event);
}

void narrator::measure(events::slot_changed const& event) {
  if (event.to == slot_state::draining || event.to == slot_state::closed) return;
  if (event.from == slot_state::ready) lost_.emplace(event.slot, event.at);
  if (event.to != slot_state::ready) return;
  if (auto const at = lost_.find(event.slot); at != lost_.end()) {
    reconnects_.push_back(event.at - at->second);
    lost_.erase(at);
  }
}

void narrator::tell(events::slot_changed const& event) const {
  auto const ms = std::chrono::duration<double, std::milli>(event.spent).count();
  auto const told = [&](std::string_view what) {
    say(event.at, fmt::format("{} (slot {}): {}", event.endpoint, event.slot, what));
  };
  switch (event.to) {
    case slot_state::ready: return told(fmt::format("connected in {:.1f} ms", ms));
    case slot_state::idle:
      if (event.from == slot_state::ready) told(fmt::format("taken out: {}", event.why));
      return;
    case slot_state::connecting:
      if (lost_.contains(event.slot)) told("redialing");
      return;
    case slot_state::backing_off: return told(fmt::format("backing off: {}", event.why));
    case slot_state::vacant:
    case slot_state::draining:
    case slot_state::closed: return;
  }
}

void narrator::on(events::endpoints_changed const& event) noexcept {
  say(event.at, fmt::format("{} endpoints: {} added, {} removed", event.endpoints, event.added, event.removed));
}

void narrator::on(events::resolve_failed const& event) noexcept {
  say(event.at, fmt::format("the endpoints could not be resolved: {}", event.why));
}

void narrator::on(events::health_changed const& event) noexcept {
  say(event.at, fmt::format("{}: {}{}{}", event.endpoint, event.to, event.why.empty() ? "" : ": ", event.why));
}

void narrator::on(events::panic_changed const& event) noexcept {
  say(event.at, fmt::format("{} of {} endpoints usable: {}", event.usable, event.endpoints,
                            event.panicking ? "all are used (panic)" : "the panic is over"));
}

void narrator::on(events::priority_changed const& event) noexcept {
  say(event.at, fmt::format("calls go to priority {} instead of {}", event.to, event.from));
}

void narrator::on(events::endpoint_chosen const& event) noexcept {
  say(event.at, fmt::format("calls of priority {} go to {}", event.priority, event.endpoint));
}

void narrator::on(events::slot_replaced const& event) noexcept {
  say(event.at,
      fmt::format("{} (slot {}): slot {} is to take over: {}", event.endpoint, event.slot, event.by, event.why));
}

void narrator::on(events::attempt_finished const& event) noexcept {
  if (event.code == status_code::ok) return;
  auto at = failures_.find(event.endpoint);
  if (at == failures_.end()) at = failures_.emplace(event.endpoint, 0).first;
  ++at->second;
}

void narrator::on(events::retry_scheduled const&) noexcept { ++retries_; }

void narrator::on(events::drain_started const& event) noexcept {
  say(event.at, fmt::format("draining: {} calls in flight", event.in_flight));
}

void narrator::sum_up_retries(time_point now) {
  if (retries_ > 0) {
    std::string text = fmt::format("{} retries in the last second; failed attempts:", retries_);
    for (auto const& [endpoint, count] : failures_) {
      if (count > 0) text += fmt::format(" {} of {}", count, endpoint);
    }
    say(now, text);
  }
  retries_ = 0;
  for (auto& [endpoint, count] : failures_) count = 0;
}

}  // namespace millrace::load
