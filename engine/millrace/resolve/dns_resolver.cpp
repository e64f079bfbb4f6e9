// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/dns_resolver.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/resolve/addresses.hpp>
#include <millrace/resolve/impl/address.hpp>

#include <utility>
#include <variant>

namespace millrace::resolve {

dns_resolver::dns_resolver(loop& on, dns_name name, dns_params const& params, std::unique_ptr<name_lookup> lookup)
    : loop_(on),
      name_(std::move(name)),
      authority_(impl::join_host_port(name_.host, name_.port)),
      params_(params),
      machine_(params_, on.random()),
      lookup_(std::move(lookup)) {}

void dns_resolver::start(resolver_listener& listener) {
  listener_ = &listener;
  feed(dns_event::start{});
}

void dns_resolver::feed(decltype(dns_event_at::what) what) {
  // a listener may call refresh from inside
  pump_.feed({loop_.now(), what}, [this](dns_event_at const& event) { perform(machine_.step(event)); });
}

void dns_resolver::perform(dns_actions const& actions) {
  for (dns_action_any const& any : actions) {
    std::visit([this](auto const& action) { perform(action); }, any);
  }
}

void dns_resolver::perform(dns_action::look_up) {
  if (loop_.stopping()) return;
  lookup_->start(name_.host, name_.port, name_lookup::callback::to<&dns_resolver::on_found>(*this));
}

void dns_resolver::perform(dns_action::arm action) { loop_.arm(timer_, action.at); }

void dns_resolver::perform(dns_action::publish action) {
  published_.assign(action.addresses.begin(), action.addresses.end());
  endpoint_set set;
  set.reserve(published_.size());
  for (std::string const& address : published_) set.push_back({.address = address, .authority = authority_});
  listener_->on_endpoints(std::move(set));
}

void dns_resolver::perform(dns_action::report action) {
  listener_->on_resolve_failed("the addresses of " + name_.host + " are not known: " + std::string(action.why));
}

void dns_resolver::on_found(lookup_result result) {
  if (!result.error.empty()) return feed(dns_event::failed{result.error});
  feed(dns_event::answered{result.addresses, !same_addresses(result.addresses, published_)});
}

}  // namespace millrace::resolve
