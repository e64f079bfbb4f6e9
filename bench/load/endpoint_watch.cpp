// SPDX-License-Identifier: Apache-2.0
#include <load/endpoint_watch.hpp>

#include <chrono>
#include <cmath>
#include <numeric>

namespace millrace::load {
namespace {

std::string_view state_of(std::string_view severity, counters::endpoint_counts const& counted) {
  if (!severity.empty() && severity != "healthy") return severity;
  return counted.slots[static_cast<std::size_t>(slot_state::ready)] > 0 ? "ready" : "not connected";
}

}  // namespace

double endpoint_watch::ewma_us(std::string_view endpoint) const noexcept {
  seen const* const one = find(endpoint);
  return one == nullptr ? 0 : one->average / 1000;
}

std::map<std::string, std::uint64_t> endpoint_watch::ejection_reasons(std::string_view endpoint) const {
  seen const* const one = find(endpoint);
  return one == nullptr ? std::map<std::string, std::uint64_t>{} : one->ejected;
}

std::vector<endpoint_second> endpoint_watch::next_second(std::vector<std::string> const& endpoints,
                                                         counters const& counted) {
  std::vector<endpoint_second> all;
  for (std::string const& address : endpoints) {
    counters::endpoint_counts const& counts = counted.endpoint(address);
    seen& one = of(address);
    std::uint64_t const attempts = counts.attempts - one.attempts_told;
    one.attempts_told = counts.attempts;
    bool const has_slot = std::accumulate(counts.slots.begin(), counts.slots.end(), counters::count{}) > 0;
    if (!has_slot && attempts == 0) continue;
    all.push_back({.address = address,
                   .attempts = attempts,
                   .ewma_us = one.average / 1000,
                   .state = std::string(state_of(one.severity, counts))});
  }
  return all;
}

void endpoint_watch::on(events::health_changed const& event) noexcept {
  seen& one = of(event.endpoint);
  one.severity = event.to;
  if (event.to == "unhealthy" && event.from != event.to) ++one.ejected[std::string(event.why)];
}

void endpoint_watch::on(events::attempt_finished const& event) noexcept {
  constexpr std::chrono::duration<double> decay{10};
  seen& one = of(event.endpoint);
  auto const took = static_cast<double>(event.elapsed.count());
  double const kept = one.averaged_at == time_point{} ? 0 : std::exp(-(event.at - one.averaged_at) / decay);
  one.average = one.average * kept + took * (1 - kept);
  one.averaged_at = event.at;
}

endpoint_watch::seen& endpoint_watch::of(std::string_view endpoint) {
  auto const at = endpoints_.find(endpoint);
  return at == endpoints_.end() ? endpoints_.emplace(endpoint, seen{}).first->second : at->second;
}

endpoint_watch::seen const* endpoint_watch::find(std::string_view endpoint) const noexcept {
  auto const at = endpoints_.find(endpoint);
  return at == endpoints_.end() ? nullptr : &at->second;
}

}  // namespace millrace::load
