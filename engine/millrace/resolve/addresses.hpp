// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/endpoint.hpp>

#include <span>
#include <string>
#include <vector>

namespace millrace::resolve {

/// The addresses (`a.b.c.d:port`, `[v6]:port`) with the families in turn, beginning with the family of the first, so that a
/// family that does not work here costs one attempt and not all (RFC 8305, section 4). The order within a family stays.
std::vector<std::string> interleaved(std::vector<std::string> addresses);

/// The same for the endpoints of each priority, lower ones first; what is no IPv6 address is of one family.
endpoint_set interleaved(endpoint_set set);

/// The same addresses, in whatever order. Servers turn the order from answer to answer.
bool same_addresses(std::span<std::string const> a, std::span<std::string const> b);

}  // namespace millrace::resolve
