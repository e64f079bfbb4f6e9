// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/dns_params.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <string>

namespace millrace {

void validate(dns_params const& params, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (params.refresh_interval <= duration::zero()) {
    refuse(field_prefix, "refresh_interval", text(params.refresh_interval), "more than 0ms");
  }
  if (!(params.jitter >= 0 && params.jitter <= 1)) refuse(field_prefix, "jitter", text(params.jitter), "0 to 1");
  std::string const prefix(field_prefix);
  validate(params.evidence, prefix + ".evidence");
  validate(params.backoff, prefix + ".backoff");
}

}  // namespace millrace
