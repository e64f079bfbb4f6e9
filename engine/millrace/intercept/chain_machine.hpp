// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status.hpp>
#include <millrace/intercept/chain_ref.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace millrace {

/// What the driver of a call does next.
struct [[nodiscard]] chain_action {
  enum class kind : std::uint8_t {
    passed,    ///< The stage is over: go on.
    held,      ///< Wait for `hold_target::resume`, then hand its result to `resume`.
    finished,  ///< The stage is over and the call has `outcome`: begin `done`, or after `done` report it.
    refused,   ///< Not allowed now; nothing changed.
  };

  kind what = kind::passed;
  std::unique_ptr<status> outcome{};  ///< With `finished`, never otherwise.
};

/// Leads one call through the stages of an interceptor chain, one at a time: `begin` a stage, and while it is held, `resume`
/// it. Remembers whose `on_start` ran, so that `on_done` runs exactly once for each of those, in reverse, and for no other.
///
/// A `finish` ends its stage and the call, except in `done`, where all remaining interceptors run and see the new status.
/// A hook that answers `hold` without having taken the handle could never be resumed: its call ends with INTERNAL, or, in
/// `done`, goes on. Neither `begin` nor `resume` may be called from inside a hook; both refuse.
class chain_machine {
 public:
  enum class state : std::uint8_t {
    fresh,      ///< `on_start` has not run.
    running,    ///< A hook is on the stack.
    between,    ///< No stage is open.
    held,       ///< An interceptor holds the call.
    abandoned,  ///< The call ended while held; only `done` may begin.
    over,       ///< `done` has passed. Terminal.
  };

  explicit chain_machine(chain_ref chain) noexcept : chain_(chain) {}

  /// Runs a stage: `start` once and first, `done` once and last (again after `abandon`). Refused out of order, while held, or
  /// without the arguments the hook needs; those outlive the stage.
  chain_action begin(hook stage, hook_arguments const& arguments) noexcept;

  /// Ends a hold, with what `hold_target::resume` was given. Refused when nothing is held, and `result` is then dropped.
  chain_action resume(hook_result result) noexcept;

  /// The call ended (deadline, cancellation) while held: a late `resume` is dropped, and `done` may begin. Otherwise nothing.
  void abandon() noexcept;

  state where() const noexcept { return state_; }

  /// Results that `resume` dropped.
  std::uint32_t dropped_resumes() const noexcept { return dropped_resumes_; }

 private:
  bool may_begin(hook stage, hook_arguments const& arguments) const noexcept;
  chain_action go_on() noexcept;
  void accept(hook_result&& result) noexcept;
  hook_result run() noexcept;
  hook_result unheld() const noexcept;
  void enter(state next) noexcept { state_ = next; }

  chain_ref chain_;
  hook_arguments arguments_;
  std::unique_ptr<status> outcome_;  // what a `finish` of this stage said
  std::size_t next_ = 0;             // where the stage goes on, in the stage's order
  std::size_t owed_ = 0;             // the first so many interceptors are owed their on_done
  std::uint32_t dropped_resumes_ = 0;
  state state_ = state::fresh;
  hook stage_ = hook::start;
};

}  // namespace millrace
