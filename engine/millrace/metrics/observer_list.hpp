// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/observer.hpp>

#include <vector>

namespace millrace {

/// Tells several observers what it is told, in the order they were added: an engine takes one observer.
///
/// Thread: the loop's; `add` and `remove` not from inside a hook.
class observer_list final : public observer {
 public:
  /// `one` outlives the list, or is removed first.
  void add(observer& one) { observers_.push_back(&one); }

  /// Takes `one` out, if it is in.
  void remove(observer& one) noexcept { std::erase(observers_, &one); }

  void on(events::slot_changed const& event) noexcept override { tell(event); }
  void on(events::endpoints_changed const& event) noexcept override { tell(event); }
  void on(events::resolve_failed const& event) noexcept override { tell(event); }
  void on(events::health_changed const& event) noexcept override { tell(event); }
  void on(events::ejection_spared const& event) noexcept override { tell(event); }
  void on(events::panic_changed const& event) noexcept override { tell(event); }
  void on(events::priority_changed const& event) noexcept override { tell(event); }
  void on(events::endpoint_chosen const& event) noexcept override { tell(event); }
  void on(events::too_many_pings const& event) noexcept override { tell(event); }
  void on(events::slot_replaced const& event) noexcept override { tell(event); }
  void on(events::picked const& event) noexcept override { tell(event); }
  void on(events::pick_failed const& event) noexcept override { tell(event); }
  void on(events::call_started const& event) noexcept override { tell(event); }
  void on(events::call_finished const& event) noexcept override { tell(event); }
  void on(events::attempt_started const& event) noexcept override { tell(event); }
  void on(events::attempt_finished const& event) noexcept override { tell(event); }
  void on(events::retry_scheduled const& event) noexcept override { tell(event); }
  void on(events::retry_denied const& event) noexcept override { tell(event); }
  void on(events::hedge_skipped const& event) noexcept override { tell(event); }
  void on(events::drain_started const& event) noexcept override { tell(event); }
  void on(events::drain_finished const& event) noexcept override { tell(event); }

 private:
  template <class Event>
  void tell(Event const& event) noexcept {
    for (observer* const one : observers_) one->on(event);
  }

  std::vector<observer*> observers_;
};

}  // namespace millrace
