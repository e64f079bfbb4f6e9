// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/counters.hpp>

namespace millrace {
namespace {

template <class Map>
typename Map::value_type& entry(Map& map, std::string_view name) {
  auto const at = map.lower_bound(name);
  if (at != map.end() && at->first == name) return *at;
  return *map.emplace_hint(at, name, typename Map::mapped_type{});
}

// a server may send a code that does not exist: gRPC calls that UNKNOWN
std::size_t index(status_code code) noexcept {
  auto const at = static_cast<std::size_t>(code);
  return at < status_code_count ? at : static_cast<std::size_t>(status_code::unknown);
}

constexpr bool kept(slot_state state) noexcept { return state != slot_state::vacant && state != slot_state::closed; }

constexpr bool let_go(slot_state state) noexcept {
  return state == slot_state::draining || state == slot_state::closed;
}

void move_slot(counters::endpoint_counts& counts, slot_state from, slot_state to) noexcept {
  // a counter that came late did not see the slot enter `from`
  if (auto& before = counts.slots[static_cast<std::size_t>(from)]; before > 0) --before;
  if (kept(to)) ++counts.slots[static_cast<std::size_t>(to)];
}

}  // namespace

counters::endpoint_counts const& counters::endpoint(std::string_view name) const noexcept {
  static endpoint_counts const none{};
  auto const at = endpoints_.find(name);
  return at == endpoints_.end() ? none : at->second;
}

counters::endpoint_counts& counters::of_endpoint(std::string_view name) {
  if (last_endpoint_ == nullptr || last_endpoint_->first != name) last_endpoint_ = &entry(endpoints_, name);
  return last_endpoint_->second;
}

counters::method_counts& counters::of_method(std::string_view name) {
  if (last_method_ == nullptr || last_method_->first != name) last_method_ = &entry(methods_, name);
  return last_method_->second;
}

void counters::on(events::slot_changed const& event) noexcept {
  if (event.from == event.to) return;
  endpoint_counts& counts = of_endpoint(event.endpoint);
  move_slot(counts, event.from, event.to);
  if (event.to == slot_state::connecting) ++counts.dials;
  if (event.to == slot_state::ready) ++counts.connections_opened;
  if (event.from == slot_state::ready && !let_go(event.to)) ++counts.connections_lost;
}

void counters::on(events::endpoints_changed const&) noexcept { ++totals_.endpoint_changes; }

void counters::on(events::resolve_failed const&) noexcept { ++totals_.resolve_failures; }

void counters::on(events::health_changed const& event) noexcept {
  if (event.to == "unhealthy" && event.from != event.to) ++of_endpoint(event.endpoint).ejections;
}

void counters::on(events::panic_changed const& event) noexcept {
  if (event.panicking) ++totals_.panics;
}

void counters::on(events::too_many_pings const& event) noexcept { ++of_endpoint(event.endpoint).too_many_pings; }

void counters::on(events::slot_replaced const& event) noexcept { ++of_endpoint(event.endpoint).replacements; }

void counters::on(events::picked const& event) noexcept { ++of_endpoint(event.endpoint).picks; }

void counters::on(events::pick_failed const& event) noexcept {
  ++entry(pick_failures_, event.why).second;
  ++totals_.pick_failures;
}

void counters::on(events::call_started const& event) noexcept { ++of_method(event.method).calls; }

void counters::on(events::call_finished const& event) noexcept {
  method_counts& counts = of_method(event.method);
  ++counts.finished[index(event.code)];
  counts.latency += event.elapsed;
  if (!event.hedge_won) return;
  ++counts.hedge_wins;
  ++totals_.hedge_wins;
}

void counters::on(events::attempt_started const& event) noexcept {
  ++of_endpoint(event.endpoint).attempts;
  ++totals_.attempts;
  if (!event.hedge) return;
  ++of_method(event.method).hedges;
  ++totals_.hedges;
}

void counters::on(events::attempt_finished const& event) noexcept {
  ++of_endpoint(event.endpoint).finished[index(event.code)];
}

void counters::on(events::retry_scheduled const& event) noexcept {
  method_counts& counts = of_method(event.method);
  ++(event.transparent ? counts.transparent_retries : counts.retries);
  ++(event.transparent ? totals_.transparent_retries : totals_.retries);
}

void counters::on(events::retry_denied const& event) noexcept { ++totals_.denied[static_cast<std::size_t>(event.why)]; }

void counters::on(events::hedge_skipped const& event) noexcept {
  ++totals_.skipped[static_cast<std::size_t>(event.why)];
}

void counters::on(events::drain_started const&) noexcept { ++totals_.drains_started; }

void counters::on(events::drain_finished const& event) noexcept {
  ++totals_.drains_finished;
  totals_.calls_revoked += event.revoked;
}

}  // namespace millrace
