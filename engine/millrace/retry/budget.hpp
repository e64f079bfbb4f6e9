// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::retry {

/// How much extra load retries and hedges may make: a share of the calls and a floor for the quiet hours (Finagle's RetryBudget).
struct budget_params {
  double percent = 0.2;                     ///< Retries each call pays for: 0.2 is one for five calls; 0 to 1000.
  double min_per_second = 10;               ///< Retries allowed besides, without any call; 0 or more.
  duration ttl = std::chrono::seconds{10};  ///< How long a deposit or a withdrawal counts; 1 s to 60 s.
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(budget_params const& params, std::string_view field_prefix);

/// One budget for all that a pool sends besides the calls it is asked to make. Every call deposits; every retry, transparent or
/// not, and every hedge withdraws; every question after an endpoint's health is charged, which nothing refuses, because a pool
/// that may not ask would never learn that a server is back. All are forgotten after a ttl, in steps of a window (a tenth of the
/// ttl): a deposit lives for one ttl to one ttl and a window.
///
/// The bound, at each withdrawal: of the ttl that ends with it,
/// `withdrawals + charges ≤ percent × deposits(that ttl and the window before it) + min_per_second × ttl`.
/// So over time and with the defaults servers see at most the offered calls × 1.2 and 10 attempts a second, whatever happens to
/// them, as long as the questions alone stay below that. Those are bounded by their own pace: one an endpoint and step of
/// `health_check.backoff`, or `check_interval`. Not in it are the attempts that gRPC itself repeats, once each, below the engine,
/// when a pool asks for that (`transparent_retry::core`): the engine does not see them. Finagle's own budget, which forgets after
/// nine to ten windows, allows twice that in the worst ttl.
///
/// Times must not go back; one that does counts as the latest seen. Allocates nothing; O(1) amortised.
class budget {
 public:
  /// Throws like `validate(params, "budget")`.
  explicit budget(budget_params params = {});

  /// A call was made. Once a call, whatever its number of attempts.
  void deposit(time_point now) noexcept;

  /// True when one more retry may be made; it is then paid for.
  bool try_withdraw(time_point now) noexcept;

  /// True when `try_withdraw` would be.
  bool allows(time_point now) noexcept;

  /// Something was sent that nobody may refuse: there is less for the rest, if need be a debt.
  void charge(time_point now) noexcept;

  /// How many retries could be paid for; 0 while in debt, when the deposits of earlier withdrawals have expired.
  double balance(time_point now) noexcept;

  /// Withdrawals refused since construction.
  std::uint64_t denied() const noexcept { return denied_; }

  /// Withdrawals granted since construction.
  std::uint64_t withdrawn() const noexcept { return withdrawn_; }

  /// Charges since construction.
  std::uint64_t charged() const noexcept { return charged_; }

 private:
  static constexpr std::size_t windows_per_ttl = 10;

  struct window {
    std::uint64_t deposits = 0;
    std::uint64_t withdrawals = 0;
  };

  window& at(std::int64_t number) noexcept;
  void advance(time_point now) noexcept;
  void spend() noexcept;
  double available() const noexcept;

  // the windows of a ttl and the one that has just begun
  std::array<window, windows_per_ttl + 1> windows_{};
  window sum_;
  std::int64_t current_;
  duration window_length_;
  double percent_;
  double reserve_;
  std::uint64_t denied_ = 0;
  std::uint64_t withdrawn_ = 0;
  std::uint64_t charged_ = 0;
};

}  // namespace millrace::retry
