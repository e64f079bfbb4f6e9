// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/attempt_machine.hpp>

#include <millrace/retry/budget.hpp>
#include <millrace/retry/policy.hpp>
#include <millrace/retry/throttle.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>

namespace millrace::retry {
namespace {

backoff_params backoff_of(retry_policy const& policy) noexcept {
  return {.initial = policy.initial_backoff,
          .multiplier = policy.multiplier,
          .max = policy.max_backoff,
          .jitter = policy.jitter};
}

// none when the server asks for no retry
std::optional<duration> parse_pushback(std::string_view text) noexcept {
  std::int64_t count = 0;
  char const* const end = text.data() + text.size();
  auto const [parsed, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || parsed != end || count < 0) return std::nullopt;
  constexpr auto longest = std::chrono::duration_cast<std::chrono::milliseconds>(duration::max());
  return std::min(std::chrono::milliseconds{count}, longest);
}

}  // namespace

attempt_machine::attempt_machine(retry_policy const& policy, budget& budget, rng& random, time_point deadline,
                                 throttle* of_server) noexcept
    : policy_(&policy),
      budget_(budget),
      random_(random),
      deadline_(deadline),
      throttle_(of_server),
      backoff_(backoff_of(policy)) {}

void attempt_machine::follow(retry_policy const& other) noexcept {
  policy_ = &other;
  backoff_ = backoff(backoff_of(other));
}

attempt_action attempt_machine::resume(attempt_outcome const& outcome) noexcept {
  bool const unsent = count(outcome);
  if (denied_) return *denied_;
  if (throttle_ != nullptr && !unsent) tell_throttle(outcome);
  if (outcome.committed) return deny(retry_denial::committed);
  return unsent ? after_unsent(outcome) : after_sent(outcome);
}

attempt_action attempt_machine::resume_beside(attempt_outcome const& outcome) noexcept {
  bool const unsent = count(outcome);
  if (throttle_ != nullptr && !unsent) tell_throttle(outcome);
  if (outcome.committed) return deny(retry_denial::committed);
  if (unsent) {
    if (transparent_++ == most_transparent) return deny(retry_denial::attempts);
    return retry_at{outcome.at, true};
  }
  if (!worth_another(outcome)) return deny(retry_denial::not_retryable);
  if (denied_) return *denied_;
  if (!outcome.pushback) return retry_at{outcome.at, false};
  auto const delay = parse_pushback(*outcome.pushback);
  if (!delay) return deny(retry_denial::pushback);
  time_point const at = saturating_add(outcome.at, *delay);
  if (at >= deadline_) return deny(retry_denial::deadline);
  return retry_at{at, false};
}

bool attempt_machine::affords(time_point now) noexcept {
  return (throttle_ == nullptr || throttle_->allows_retry()) && budget_.allows(now);
}

void attempt_machine::pay(time_point now) noexcept { static_cast<void>(budget_.try_withdraw(now)); }

// true for one that never left
bool attempt_machine::count(attempt_outcome const& outcome) noexcept {
  bool const unsent = outcome.never_left && !outcome.committed;
  if (!unsent) ++attempts_;
  return unsent;
}

// A6: what a server answers to malformed requests is not its failure
void attempt_machine::tell_throttle(attempt_outcome const& outcome) noexcept {
  if (outcome.evicted) return;
  bool const forbidden = outcome.pushback && !parse_pushback(*outcome.pushback);
  if (forbidden || worth_another(outcome)) throttle_->record_failure();
}

bool attempt_machine::worth_another(attempt_outcome const& outcome) const noexcept {
  return outcome.timed_out || policy_->retryable.contains(outcome.code);
}

attempt_action attempt_machine::after_unsent(attempt_outcome const& outcome) noexcept {
  if (transparent_ == most_transparent) return deny(retry_denial::attempts);
  bool const first = transparent_++ == 0;
  time_point const at = first ? outcome.at : saturating_add(outcome.at, backoff_.next(random_));
  return schedule(outcome.at, at, true);
}

attempt_action attempt_machine::after_sent(attempt_outcome const& outcome) noexcept {
  bool const by_rule = static_cast<bool>(policy_->rule);
  if (!by_rule && !worth_another(outcome)) return deny(retry_denial::not_retryable);
  if (attempts_ >= policy_->max_attempts) return deny(retry_denial::attempts);
  auto const delay = by_rule ? ask_rule(outcome) : wait(outcome.pushback);
  if (!delay) return deny(by_rule ? retry_denial::not_retryable : retry_denial::pushback);
  if (throttle_ != nullptr && !throttle_->allows_retry()) return deny(retry_denial::budget);
  return schedule(outcome.at, saturating_add(outcome.at, *delay), false);
}

std::optional<duration> attempt_machine::ask_rule(attempt_outcome const& outcome) const noexcept try {
  auto const delay = policy_->rule({.code = outcome.code,
                                    .attempts = attempts_,
                                    .elapsed = outcome.elapsed,
                                    .timed_out = outcome.timed_out,
                                    .pushback = outcome.pushback,
                                    .trailers = outcome.trailers});
  if (!delay) return std::nullopt;
  return std::max(*delay, duration::zero());
} catch (...) {
  return std::nullopt;
}

std::optional<duration> attempt_machine::wait(std::optional<std::string_view> pushback) noexcept {
  if (!pushback) return backoff_.next(random_);
  backoff_.reset();
  return parse_pushback(*pushback);
}

attempt_action attempt_machine::schedule(time_point now, time_point at, bool transparent) noexcept {
  if (at >= deadline_) return deny(retry_denial::deadline);
  // last, so that only a retry which really happens is paid for
  if (!budget_.try_withdraw(now)) return deny(retry_denial::budget);
  return retry_at{at, transparent};
}

retry_denial attempt_machine::deny(retry_denial why) noexcept {
  denied_ = why;
  return why;
}

}  // namespace millrace::retry
