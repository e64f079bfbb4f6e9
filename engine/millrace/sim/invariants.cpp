// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/invariants.hpp>

#include <millrace/call/call_machine.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/pool/pool.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace millrace::sim {

void invariants::broken(std::string what) {
  if (breach_.empty()) breach_ = std::move(what);
}

invariants::invariants(net& in, retry::budget_params budget, duration watch_slice)
    : net_(in), budget_(budget), watch_slice_(watch_slice) {}

void invariants::check(pool* of) {
  time_point const now = net_.events().now();
  if (std::size_t const in_ledger = net_.context().outstanding(); in_ledger != net_.events().tags_out()) {
    broken(fmt::format("the loop's ledger has {} operations, the port {}", in_ledger, net_.events().tags_out()));
  }
  if (!open_.empty() && is_late(open_.begin()->first)) {
    broken(fmt::format("call {} is not finished, and its deadline has passed", open_.begin()->second));
  }
  if (drain_due_ && *drain_due_ < now) broken("the drain is not over");
  if (of != nullptr) check_pool(*of);
}

void invariants::check_pool(pool& of) {
  if (of.ready() != ready_) broken(fmt::format("the pool publishes {} ready slots, and {} are", of.ready(), ready_));
  if (!std::exchange(slots_changed_, false)) return;
  pool_snapshot const now = of.snapshot();
  std::uint32_t in_flight = 0;
  for (slot_snapshot const& one : now.slots) {
    in_flight += one.in_flight;
    slot_state const told = one.number < slots_.size() ? slots_[one.number] : slot_state::vacant;
    if (one.state != told) {
      broken(fmt::format("slot {} is {}, and its observer knows it as {}", one.number, to_string(one.state),
                         to_string(told)));
    }
    if (one.in_flight > of.params().max_calls_per_slot) {
      broken(fmt::format("slot {} carries {} calls", one.number, one.in_flight));
    }
  }
  if (in_flight != now.in_flight) {
    broken(fmt::format("the pool counts {} calls in flight, its slots {}", now.in_flight, in_flight));
  }
  for (server* const one : net_.servers()) {
    if (one->most_dials_in_flight() > 1) {
      broken(fmt::format("{} saw {} dials at once", one->name(), one->most_dials_in_flight()));
    }
  }
}

void invariants::check_over() {
  if (!open_.empty())
    broken(fmt::format("{} calls never finished, the first is {}", open_.size(), open_.begin()->second));
  if (!started_.empty()) broken(fmt::format("{} calls had on_start and no on_done", started_.size()));
  if (net_.context().outstanding() != 0)
    broken(fmt::format("{} operations did not come back", net_.context().outstanding()));
  if (net_.events().tags_out() != 0) broken(fmt::format("{} tags are still out", net_.events().tags_out()));
  if (net_.live_attempts() != 0) broken(fmt::format("{} attempts were not released", net_.live_attempts()));
  if (net_.live_channels() != 0) broken(fmt::format("{} channels are still open", net_.live_channels()));
  for (server* const one : net_.servers()) {
    if (one->in_flight() != 0) broken(fmt::format("{} has {} calls in flight", one->name(), one->in_flight()));
    if (one->dials_in_flight() != 0) broken(fmt::format("{} has a dial in flight", one->name()));
    if (one->connections() != 0) broken(fmt::format("{} has {} connections", one->name(), one->connections()));
  }
}

bool invariants::is_late(time_point deadline) const noexcept {
  time_point const end = net_.last_stuck() + cut_grace;  // of the last wait for what was cut off
  return net_.events().now() > std::clamp(end, deadline, saturating_add(deadline, cut_grace));
}

void invariants::on_called(call_record const& one) { open_.emplace(one.deadline, one.number); }

void invariants::on_finished(call_record const& one) {
  if (quiet_ != nullptr) broken(fmt::format("the handler of call {} ran inside {}", one.number, quiet_));
  if (open_.erase({one.deadline, one.number}) != 1) broken(fmt::format("call {} finished twice", one.number));
  if (is_late(one.deadline)) broken(fmt::format("call {} finished after its deadline", one.number));
}

hook_result invariants::on_start(call_context& context) {
  if (quiet_ != nullptr) broken(fmt::format("on_start ran inside {}", quiet_));
  if (!started_.insert(&context).second) broken("on_start ran twice for a call");
  return proceed;
}

hook_result invariants::on_done(call_context& context, status const&) {
  if (quiet_ != nullptr) broken(fmt::format("on_done ran inside {}", quiet_));
  if (started_.erase(&context) != 1) broken("on_done ran without an on_start, or twice");
  return proceed;
}

void invariants::on(events::slot_changed const& event) noexcept {
  if (event.slot >= slots_.size()) slots_.resize(event.slot + 1, slot_state::vacant);
  slot_state& now_is = slots_[event.slot];
  // the number of a slot that is closed goes to a new one
  if (now_is == slot_state::closed && event.from == slot_state::vacant) now_is = slot_state::vacant;
  if (now_is != event.from) {
    broken(fmt::format("slot {} left {}, and was {}", event.slot, to_string(event.from), to_string(now_is)));
  }
  if (event.from == slot_state::closed) broken(fmt::format("slot {} left closed", event.slot));
  if (event.from == slot_state::ready) --ready_;
  if (event.to == slot_state::ready) ++ready_;
  now_is = event.to;
  slots_changed_ = true;
}

void invariants::on(events::health_changed const& event) noexcept {
  if (event.to == "unhealthy")
    unhealthy_.emplace(event.endpoint);
  else if (auto const found = unhealthy_.find(event.endpoint); found != unhealthy_.end())
    unhealthy_.erase(found);
}

void invariants::on(events::picked const& event) noexcept {
  slot_state const state = slots_.at(event.slot);
  if (state != slot_state::ready) {
    broken(fmt::format("a call was given slot {}, which is {}", event.slot, to_string(state)));
  }
  if (!panicking_ && unhealthy_.contains(event.endpoint))
    broken(fmt::format("a call goes to {}, which is unhealthy, without a panic", event.endpoint));
  bool const chosen = std::ranges::any_of(chosen_, [&](auto const& one) { return one.second == event.endpoint; });
  if (!panicking_ && !chosen_.empty() && !chosen)
    broken(fmt::format("a call goes to {}, which was not chosen, without a panic", event.endpoint));
}

void invariants::on(events::call_started const& event) noexcept { calls_.push_back(event.at); }

void invariants::on(events::attempt_started const& event) noexcept {
  if (event.hedge) {
    retries_.push_back(event.at);
    check_budget(event.at);
  } else if (event.number > 1 && ++extra_attempts_ > retries_scheduled_) {
    broken("there are more attempts beyond the first than retries");
  }
  slots_changed_ = true;
}

void invariants::on(events::retry_scheduled const& event) noexcept {
  ++retries_scheduled_;
  retries_.push_back(event.at);
  check_budget(event.at);
}

// withdrawals of a ttl ≤ percent × deposits of that ttl and the window before it + min_per_second × ttl
void invariants::check_budget(time_point now) {
  time_point const ttl_ago = now - budget_.ttl;
  time_point const deposits_from = ttl_ago - (budget_.ttl + duration{9}) / 10;
  while (!retries_.empty() && retries_.front() <= ttl_ago) retries_.pop_front();
  while (!calls_.empty() && calls_.front() < deposits_from) calls_.pop_front();
  double const bound = budget_.percent * static_cast<double>(calls_.size()) +
                       budget_.min_per_second * std::chrono::duration<double>(budget_.ttl).count();
  if (static_cast<double>(retries_.size()) > bound + 1e-3) {
    broken(fmt::format("{} retries and hedges in a budget's ttl, which allows {}", retries_.size(), bound));
  }
}

void invariants::on(events::drain_started const& event) noexcept {
  drain_due_ = saturating_add(event.at, event.grace + std::chrono::seconds(1) + watch_slice_);
}

void invariants::on(events::drain_finished const&) noexcept {
  if (!drain_due_) broken("a drain is over that nobody began");
  drain_due_.reset();
}

}  // namespace millrace::sim
