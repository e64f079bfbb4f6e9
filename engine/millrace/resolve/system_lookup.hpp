// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/impl/doorbell.hpp>
#include <millrace/resolve/name_lookup.hpp>

#include <memory>

namespace millrace::resolve {

/// The system's own resolver: getaddrinfo, with all that it reads (/etc/hosts, nsswitch.conf, the DNS), on a thread that lives as
/// long as the question. All IPv4 and IPv6 addresses, in the order of RFC 6724 with the families in turn.
///
/// getaddrinfo cannot be cancelled, and with a DNS server that does not answer it takes ten seconds and more. So nobody waits for
/// it: a question that is no longer wanted ends by itself, and its thread touches nothing of the loop's. Asio's resolver would
/// hold up the loop's destructor until then, keep two threads a loop, and have one name that hangs hold up all others.
class system_lookup final : public name_lookup {
 public:
  explicit system_lookup(loop& on) noexcept : loop_(on) {}
  ~system_lookup();

  /// A thread that cannot be started is a failed lookup.
  void start(std::string const& host, std::string const& port, callback done) override;

 private:
  struct question;

  void on_answered();

  loop& loop_;
  callback done_;
  std::shared_ptr<question> asked_;  // shared with the thread: it may outlive this
  std::unique_ptr<impl::doorbell> answered_;
};

}  // namespace millrace::resolve
