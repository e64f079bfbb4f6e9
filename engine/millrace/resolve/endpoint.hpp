// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// A server that calls may go to, and what is known about it.
struct endpoint {
  /// `host:port`, `[v6]:port`, `unix:path` or a gRPC target: what a channel is opened to. It identifies the endpoint.
  std::string address;
  /// Its share of the calls beside others, for policies that look at weights. 1 to 1 000 000.
  std::uint32_t weight = 1;
  /// Calls go to the lowest number of which enough endpoints are usable; 0 is the most wanted.
  std::uint32_t priority = 0;
  /// Where it is: a zone, a rack. For your own policies and for people.
  std::string locality{};
  /// Anything else its source says, in the source's order.
  std::vector<std::pair<std::string, std::string>> metadata{};
  /// What calls name as their `:authority`, and TLS expects in the certificate: `host:port` of the name that the address was
  /// found by. Empty: the address.
  std::string authority{};

  bool operator==(endpoint const&) const = default;
};

/// The endpoints of a service at one moment, in the order their source gave; no address twice.
using endpoint_set = std::vector<endpoint>;

/// Throws std::invalid_argument unless every address, weight and priority is allowed and no address is listed twice. The text
/// begins with `where`, and names the endpoint, the value and what is allowed. An empty set is allowed.
void validate(endpoint_set const& set, std::string_view where);

}  // namespace millrace
