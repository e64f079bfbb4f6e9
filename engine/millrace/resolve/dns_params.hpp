// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/retry/backoff.hpp>

#include <string_view>

namespace millrace {

/// When a name is looked up again.
///
/// getaddrinfo does not tell how long an answer holds, so a name is looked up every `refresh_interval`: that is how soon a new
/// server is noticed. One that went is noticed sooner, by the connections that are lost: such evidence asks for a lookup at
/// once, but not within `evidence.initial` of the last answer. As long as what it asks for brings nothing new, the interval grows to
/// `evidence.max`, where gRPC's is from the beginning: a server that is down, and stays in the DNS, costs two lookups a minute.
struct dns_params {
  /// From an answer to the next lookup; more than 0.
  duration refresh_interval = std::chrono::seconds{30};
  /// Each such interval is spread by ± this fraction, so that a fleet does not ask in step; 0 to 1.
  double jitter = 0.2;
  /// Between an answer and a lookup that evidence asks for.
  retry::backoff_params evidence{.initial = std::chrono::seconds{1}, .multiplier = 2, .max = std::chrono::seconds{30}};
  /// After failures in a row.
  retry::backoff_params backoff{
      .initial = std::chrono::milliseconds{500}, .multiplier = 2, .max = std::chrono::seconds{30}};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(dns_params const& params, std::string_view field_prefix);

}  // namespace millrace
