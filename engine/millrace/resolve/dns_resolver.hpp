// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/event_pump.hpp>
#include <millrace/resolve/dns_machine.hpp>
#include <millrace/resolve/name_lookup.hpp>
#include <millrace/resolve/resolver.hpp>
#include <millrace/resolve/target.hpp>
#include <millrace/time/timer.hpp>

#include <memory>
#include <string>
#include <vector>

namespace millrace::resolve {

/// The addresses of a name, looked up again and again: dns_machine's driver. An answer that is not the last one is an update; a
/// failure leaves the last good answer in place. Each endpoint's `authority` is the name.
class dns_resolver final : public resolver {
 public:
  /// Over `lookup`. Expects validated params.
  dns_resolver(loop& on, dns_name name, dns_params const& params, std::unique_ptr<name_lookup> lookup);

  void start(resolver_listener& listener) override;
  void refresh() noexcept override { feed(dns_event::hint{}); }

  dns_state state() const noexcept { return machine_.state(); }

 private:
  void feed(decltype(dns_event_at::what) what);
  void perform(dns_actions const& actions);
  void perform(dns_action::look_up);
  void perform(dns_action::arm action);
  void perform(dns_action::publish action);
  void perform(dns_action::report action);
  void on_found(lookup_result result);
  void on_due() { feed(dns_event::elapsed{}); }

  loop& loop_;
  dns_name const name_;
  std::string const authority_;
  dns_params const params_;
  dns_machine machine_;
  event_pump<dns_event_at> pump_;
  resolver_listener* listener_ = nullptr;
  std::vector<std::string> published_;
  timer timer_{bound<void()>::to<&dns_resolver::on_due>(*this)};
  std::unique_ptr<name_lookup> lookup_;
};

}  // namespace millrace::resolve
