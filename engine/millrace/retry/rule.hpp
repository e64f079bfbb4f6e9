// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/time/clock.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace::retry {

/// A failed attempt, as a rule of your own sees it.
struct failed_attempt {
  status_code code;        ///< Never ok.
  unsigned attempts;       ///< Of the call so far, this one included, without those that never left.
  duration elapsed;        ///< Since the call began.
  bool timed_out = false;  ///< By `per_attempt_timeout`; the code is then DEADLINE_EXCEEDED.
  std::optional<std::string_view> pushback{};  ///< The raw value of its `grpc-retry-pushback-ms` trailer.
  metadata_view trailers{};                    ///< Valid during the rule only.
};

/// A rule of your own, made of anything that takes a `failed_attempt const&` and says how long to wait before the next attempt;
/// none: the call ends as this attempt did. Copies share it.
///
/// Thread: called on those of the loops whose calls use it. It must not block; what it throws counts as none.
class retry_rule {
 public:
  using answer = std::optional<duration>;

  retry_rule() noexcept;
  retry_rule(retry_rule const&) noexcept;
  retry_rule(retry_rule&&) noexcept;
  retry_rule& operator=(retry_rule const&) noexcept;
  retry_rule& operator=(retry_rule&&) noexcept;
  ~retry_rule();

  template <class Rule>
  requires std::is_invocable_r_v<answer, Rule const&, failed_attempt const&> &&
      (!std::same_as<Rule, retry_rule>)retry_rule(Rule rule)
      : rule_(std::make_shared<function const>(std::move(rule))) {}

  /// False when there is none.
  explicit operator bool() const noexcept { return rule_ != nullptr; }

  answer operator()(failed_attempt const& after) const { return (*rule_)(after); }

 private:
  using function = std::function<answer(failed_attempt const&)>;

  std::shared_ptr<function const> rule_;
};

}  // namespace millrace::retry
