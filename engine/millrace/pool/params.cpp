// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/params.hpp>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

namespace millrace {
namespace {

[[noreturn]] void refuse(std::string_view field, std::string_view value, std::string_view allowed) {
  std::string text("pool_params.");
  text.append(field).append(": ").append(value).append(" is not allowed; ").append(allowed);
  throw std::invalid_argument(text);
}

[[noreturn]] void refuse_endpoint(std::string_view endpoint, std::string_view why) {
  std::string text("pool_params.target: endpoint \"");
  text.append(endpoint).append("\" ").append(why);
  throw std::invalid_argument(text.append("; allowed are host:port, [v6]:port, unix:path and gRPC targets"));
}

void check_port(std::string_view endpoint, std::string_view text) {
  unsigned port = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535) {
    refuse_endpoint(endpoint, "has no port in 1..65535");
  }
}

void check_endpoint(std::string_view endpoint) {
  if (endpoint.empty()) refuse_endpoint(endpoint, "is empty");
  if (endpoint.find(' ') != endpoint.npos) refuse_endpoint(endpoint, "has a space in it");
  if (endpoint.starts_with("unix:")) {
    if (endpoint.size() == 5) refuse_endpoint(endpoint, "has no path");
    return;
  }
  std::size_t const scheme = endpoint.find("://");
  std::string_view const address = scheme == endpoint.npos ? endpoint : endpoint.substr(endpoint.rfind('/') + 1);
  std::size_t const colon = address.rfind(':');
  if (colon == address.npos || colon == 0) refuse_endpoint(endpoint, "is not host:port");
  bool const bracketed = address.front() == '[' && address[colon - 1] == ']';
  if (!bracketed && address.substr(0, colon).find(':') != address.npos) {
    refuse_endpoint(endpoint, "is an IPv6 address without brackets");
  }
  check_port(endpoint, address.substr(colon + 1));
}

void check_durations(slot_params const& slot) {
  validate(slot.backoff, "pool_params.slot.backoff");
  auto const positive = [](duration value, std::string_view field) {
    if (value <= duration::zero()) refuse(field, std::to_string(value.count()) + " ns", "it must be more than 0");
  };
  positive(slot.dial_timeout, "slot.dial_timeout");
  positive(slot.proven_after, "slot.proven_after");
  positive(slot.watch_slice, "slot.watch_slice");
  positive(slot.ready_watch_slice, "slot.ready_watch_slice");
}

}  // namespace

std::vector<std::string> parse_target(std::string const& target) {
  std::vector<std::string> endpoints;
  for (std::size_t from = 0; from <= target.size();) {
    std::size_t const to = std::min(target.find(',', from), target.size());
    check_endpoint(std::string_view(target).substr(from, to - from));
    endpoints.push_back(target.substr(from, to - from));
    from = to + 1;
  }
  for (auto one = endpoints.begin(); one != endpoints.end(); ++one) {
    if (std::find(endpoints.begin(), one, *one) != one) refuse_endpoint(*one, "is listed twice");
  }
  return endpoints;
}

pool_params validated(pool_params params) {
  auto const endpoints = static_cast<std::uint32_t>(parse_target(params.target).size());
  if (params.min_slots == 0)
    params.min_slots = params.max_slots == 0 ? endpoints : std::min(endpoints, params.max_slots);
  if (params.max_slots == 0) params.max_slots = std::max(params.min_slots, 4 * endpoints);
  if (params.max_slots < params.min_slots) {
    refuse("max_slots", std::to_string(params.max_slots),
           "it must be at least min_slots = " + std::to_string(params.min_slots));
  }
  if (params.max_slots < endpoints) {
    refuse("max_slots", std::to_string(params.max_slots),
           "it must be at least the number of endpoints = " + std::to_string(endpoints));
  }
  if (params.max_slots > 100'000) refuse("max_slots", std::to_string(params.max_slots), "it must be at most 100000");
  if (params.max_calls_per_slot == 0) refuse("max_calls_per_slot", "0", "it must be 1 or more");
  if (params.cork_rule.flush_every == 0) refuse("cork_rule.flush_every", "0", "it must be 1 or more");
  check_durations(params.slot);
  validate(params.budget, "pool_params.budget");
  if (!params.make_picker) static_cast<void>(balance::make_picker(params.balance, 0));
  return params;
}

}  // namespace millrace
