// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/dns_params.hpp>
#include <millrace/resolve/file_params.hpp>
#include <millrace/resolve/name_lookup.hpp>
#include <millrace/resolve/resolver.hpp>

#include <string_view>

namespace millrace {

/// How targets are resolved.
struct resolver_params {
  dns_params dns{};
  file_params file{};
  /// Your own DNS client; by default the system's getaddrinfo, on a thread of its own while it runs.
  name_lookup_factory make_lookup{};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(resolver_params const& params, std::string_view field_prefix);

/// Makes resolvers of a target: endpoints that are listed (`a:1,b:1`, `static:…`, `ipv4:…`, `ipv6:…`), the addresses of a name
/// (`dns:///name:port`), or what a file lists (`file:///path.json`); resolve/target.hpp has all forms. Throws std::invalid_argument
/// that begins with `where` and names what is wrong and what is allowed.
resolver_factory make_resolver(std::string_view target, resolver_params params = {}, std::string_view where = "target");

}  // namespace millrace
