// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/endpoint.hpp>

#include <string>
#include <string_view>
#include <variant>

namespace millrace::resolve {

/// A name whose addresses are the endpoints: `dns:///host:port`, `dns:host:port`.
struct dns_name {
  std::string host;  ///< Without brackets.
  std::string port;

  bool operator==(dns_name const&) const = default;
};

/// A file that lists the endpoints: `file:///path.json`.
struct file_name {
  std::string path;  ///< Absolute.

  bool operator==(file_name const&) const = default;
};

/// Where a target says that endpoints come from; the first: from itself.
using target = std::variant<endpoint_set, dns_name, file_name>;

/// Reads a target. Throws std::invalid_argument that begins with `where` and names the endpoint and what is allowed.
///
/// | target | endpoints |
/// |---|---|
/// | `host:port`, `[v6]:port`, `unix:/path`, `unix:///path`, `unix-abstract:name`; several with commas | these |
/// | `static:…` | the same list |
/// | `ipv4:1.2.3.4:80,5.6.7.8:81`, `ipv6:[::1]:80,[::2]:81` | these, which must be addresses |
/// | `dns:///host:port`, `dns:host:port`, alone | the addresses of the name |
/// | `file:///path.json` | those the file lists |
/// | `scheme:///…` with any other scheme; `dns:` in a list | one, whose name gRPC resolves at each dial |
///
/// The schemes are gRPC's (doc/naming.md), except that a port must be given and that `dns://authority/…` is refused.
target parse_target(std::string_view text, std::string_view where);

}  // namespace millrace::resolve
