// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/pool.hpp>

#include <millrace/pool/slot_publication.hpp>
#include <millrace/resolve/target.hpp>

#include <stdexcept>
#include <utility>
#include <variant>

namespace millrace {
namespace {

// what the target lists; none when a resolver is to say it
endpoint_set listed_in(pool_params const& params) {
  if (params.make_resolver) return {};
  resolve::target from = resolve::parse_target(params.target, "pool_params.target");
  auto* const listed = std::get_if<endpoint_set>(&from);
  return listed == nullptr ? endpoint_set{} : std::move(*listed);
}

// null for a target that lists its endpoints
std::unique_ptr<resolver> resolver_of(pool_params const& params, loop& on) {
  if (!params.make_resolver) {
    resolver_params const how{.dns = params.dns, .file = params.file, .make_lookup = params.make_lookup};
    return make_resolver(params.target, how, "pool_params.target")(on);
  }
  auto made = params.make_resolver(on);
  if (made == nullptr) throw std::invalid_argument("pool_params.make_resolver: it returned none");
  return made;
}

}  // namespace

pool::pool(loop& on, pool_params params, std::unique_ptr<channel_factory> channels)
    : loop_(on),
      params_(validated(std::move(params))),
      channels_(std::move(channels)),
      budget_(params_.budget),
      roster_(params_.aperture, on.random().next()),
      selection_(
          make_picker(),
          {.panic_threshold = params_.panic_threshold, .failover = params_.failover, .slow_start = params_.slow_start}),
      scaling_(params_.scaling, params_.max_calls_per_slot),
      health_{.accrual = params_.accrual, .check = params_.health_check, .outlier = params_.outlier.has_value()},
      waiters_(on, params_.max_wait, bound<void(waiter&)>::to<&pool::on_waited_out>(*this)) {
  check_max_slots(params_, selection_.dials());
  if (selection_.dials() == balance::dialing::first) roster_.dial_one_by_one(params_.dial_order);
  if (params_.outlier) outlier_.emplace(*params_.outlier, on.now());
  if (params_.concurrency_limit) limit_.emplace(*params_.concurrency_limit, on.random());
  // a list is known from the beginning
  if (endpoint_set listed = listed_in(params_); !listed.empty())
    apply(std::move(listed));
  else
    resolver_ = resolver_of(params_, on);
  loop_.add(*this);
}

balance::any_picker pool::make_picker() {
  if (params_.make_picker) return params_.make_picker();
  return balance::make_picker(params_.balance, loop_.random().next());
}

pool::~pool() { on_stop(); }

void pool::open() {
  if (phase_ != phase::fresh) return;
  phase_ = phase::open;
  if (resolver_ != nullptr) resolver_->start(*this);
  take_turns();
  fill();
  rebuild_soon();
}

void pool::keep_house() {
  rebuild();
  if (std::exchange(to_publish_, false)) publish();
  if (phase_ == phase::open) {
    sweep();
    serve_waiters();
    grow(waiters_.size());
    grant_dials();
    refuse_the_hopeless();
    serve_ready_waits();
    if (waiters_.empty()) heed_outside_calls();
  } else if (phase_ == phase::fresh) {
    sweep();  // endpoints may go before the first call comes
  } else {
    check_drained();
  }
}

// frees closed slots, lets go of endpoints that are not used any more, and forgets those that are gone
void pool::sweep() {
  if (!std::exchange(to_sweep_, false)) return;
  for (auto& one : slots_) {
    if (one == nullptr || one->state() != slot_state::closed || one->load() > 0) continue;
    census_.removed(slot_state::closed);
    roster_[one->endpoint_number()].slots.removed(slot_state::closed);
    earlier_coalescing_ += one->coalescing();
    one.reset();
  }
  roster_.for_each([this](roster_entry& one) {
    if (one.wanted() || one.slots.all() > 0) return;
    loop_.disarm(one.grace);
    error_code const result = one.revoked ? make_error_code(errc::timed_out) : error_code{};
    one.drain_waits.for_each([&](wait& each) { end(each, result); });
    one.rotation.reset();
    // its turn may come again: what speaks against it does so until it has passed
    if (one.may_be_wanted()) return;
    tell_gone(one);
    one.health.reset();
    one.left_off.reset();
    if (!one.listed && !one.drained) roster_.forget(one);
  });
}

void pool::reset_backoff() {
  roster_.for_each([](roster_entry& one) { one.left_off.reset(); });
  for_each_slot([](slot& one) { one.nudge(); });
}

void pool::rotate() {
  for_each_slot([this](slot& one) {
    if (one.state() != slot_state::ready) return;
    roster_[one.endpoint_number()].rotation->want(one.number(), rotation_reason::asked);
  });
}

pool_snapshot pool::snapshot() {
  pool_snapshot now{.slots = {},
                    .ready = ready(),
                    .open = census_.open(),
                    .in_flight = in_flight_ + outside_in_flight(),
                    .waiting = waiters_.size(),
                    .draining = phase_ != phase::fresh && phase_ != phase::open,
                    .chosen = phase_ == phase::open ? roster_.chosen() : std::vector<std::string>{},
                    .retry_budget = budget_.balance(loop_.now()),
                    .coalescing = earlier_coalescing_};
  for_each_slot([&](slot& one) {
    now.coalescing += one.coalescing();
    now.slots.push_back({.number = one.number(),
                         .endpoint = one.endpoint(),
                         .state = one.state(),
                         .in_state = loop_.now() - one.since(),
                         .in_flight = one.load(),
                         .connections = one.connections(),
                         .last_failure = one.last_failure(),
                         .keepalive_time = one.keepalive_time,
                         .coalescing = one.coalescing(),
                         .not_coalesced = std::string(one.why_not_coalesced())});
  });
  return now;
}

}  // namespace millrace
