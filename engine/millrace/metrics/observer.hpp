// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/events.hpp>

namespace millrace {

/// What an engine tells whoever watches it: logging and metrics are observers, not facilities inside modules. Override the
/// hooks you want, with `using observer::on;` beside them so that the others stay visible. With no observer set an event costs
/// one pointer test.
///
/// Thread: the loop's. A hook must not block and must not throw; it may call any `async_` function. The observer must outlive
/// the pool and the clients it was given to.
class observer {
 public:
  virtual ~observer() = default;

  virtual void on(events::slot_changed const&) noexcept {}
  virtual void on(events::endpoints_changed const&) noexcept {}
  virtual void on(events::resolve_failed const&) noexcept {}
  virtual void on(events::health_changed const&) noexcept {}
  virtual void on(events::ejection_spared const&) noexcept {}
  virtual void on(events::panic_changed const&) noexcept {}
  virtual void on(events::priority_changed const&) noexcept {}
  virtual void on(events::endpoint_chosen const&) noexcept {}
  virtual void on(events::too_many_pings const&) noexcept {}
  virtual void on(events::slot_replaced const&) noexcept {}
  virtual void on(events::picked const&) noexcept {}
  virtual void on(events::pick_failed const&) noexcept {}
  virtual void on(events::call_started const&) noexcept {}
  virtual void on(events::call_finished const&) noexcept {}
  virtual void on(events::attempt_started const&) noexcept {}
  virtual void on(events::attempt_finished const&) noexcept {}
  virtual void on(events::retry_scheduled const&) noexcept {}
  virtual void on(events::retry_denied const&) noexcept {}
  virtual void on(events::hedge_skipped const&) noexcept {}
  virtual void on(events::drain_started const&) noexcept {}
  virtual void on(events::drain_finished const&) noexcept {}
};

}  // namespace millrace
