// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/params.hpp>

#include <millrace/resolve/target.hpp>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <variant>

namespace millrace {
namespace {

[[noreturn]] void refuse(std::string_view field, std::string_view value, std::string_view allowed) {
  std::string text("pool_params.");
  text.append(field).append(": ").append(value).append(" is not allowed; ").append(allowed);
  throw std::invalid_argument(text);
}

void check(keepalive_params const& keepalive) {
  if (keepalive.time < duration::zero()) {
    refuse("keepalive.time", std::to_string(keepalive.time.count()) + " ns", "it must be 0 or more");
  }
  if (keepalive.timeout <= duration::zero()) {
    refuse("keepalive.timeout", std::to_string(keepalive.timeout.count()) + " ns", "it must be more than 0");
  }
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

// those that the target lists; none when it says where to look
std::uint32_t endpoints_in(std::string const& target) {
  resolve::target const from = resolve::parse_target(target, "pool_params.target");
  auto const* const listed = std::get_if<endpoint_set>(&from);
  return listed == nullptr ? 0 : static_cast<std::uint32_t>(listed->size());
}

}  // namespace

pool_params validated(pool_params params) {
  if (!params.make_resolver) static_cast<void>(endpoints_in(params.target));
  validate(params.dns, "pool_params.dns");
  validate(params.file, "pool_params.file");
  if (params.max_slots != 0 && params.max_slots < params.min_slots) {
    refuse("max_slots", std::to_string(params.max_slots),
           "it must be at least min_slots = " + std::to_string(params.min_slots));
  }
  if (params.make_resolver && !params.target.empty()) {
    refuse("target", '"' + params.target + '"', "it must be empty when make_resolver is set");
  }
  if (params.min_slots > 100'000) refuse("min_slots", std::to_string(params.min_slots), "it must be at most 100000");
  if (params.max_slots > 100'000) refuse("max_slots", std::to_string(params.max_slots), "it must be at most 100000");
  if (params.max_calls_per_slot == 0) refuse("max_calls_per_slot", "0", "it must be 1 or more");
  if (params.max_wait < duration::zero()) {
    refuse("max_wait", std::to_string(params.max_wait.count()) + " ns", "it must be 0 or more");
  }
  if (params.cork_rule.flush_every == 0) refuse("cork_rule.flush_every", "0", "it must be 1 or more");
  if (!(params.panic_threshold >= 0 && params.panic_threshold <= 1)) {
    refuse("panic_threshold", std::to_string(params.panic_threshold), "it must be 0 to 1");
  }
  validate(params.failover, "pool_params.failover");
  validate(params.dial_order, "pool_params.dial_order");
  validate(params.slow_start, "pool_params.slow_start");
  validate(params.aperture, "pool_params.aperture");
  if (params.accrual) validate(*params.accrual, "pool_params.accrual");
  if (params.outlier) validate(*params.outlier, "pool_params.outlier");
  if (params.health_check) validate(*params.health_check, "pool_params.health_check");
  validate(params.scaling, params.max_calls_per_slot, "pool_params.scaling");
  validate(params.rotation, "pool_params.rotation");
  validate(params.responsiveness, "pool_params.responsiveness");
  if (params.concurrency_limit) validate(*params.concurrency_limit, "pool_params.concurrency_limit");
  check_durations(params.slot);
  check(params.keepalive);
  validate(params.budget, "pool_params.budget");
  if (!params.make_picker) check_max_slots(params, balance::make_picker(params.balance, 0).dials());
  return params;
}

void check_max_slots(pool_params const& params, balance::dialing dials) {
  if (params.max_slots == 0 || params.make_resolver || dials != balance::dialing::all) return;
  std::uint32_t const endpoints = endpoints_in(params.target);
  if (params.max_slots >= endpoints) return;
  refuse("max_slots", std::to_string(params.max_slots),
         "it must be at least the number of endpoints = " + std::to_string(endpoints));
}

}  // namespace millrace
