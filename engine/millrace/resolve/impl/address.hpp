// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace millrace::resolve::impl {

/// What is wrong with an endpoint's address, as the end of a sentence ("is not host:port"); empty when nothing is.
std::string_view fault_of(std::string_view address) noexcept;

/// The same for one that must be `a.b.c.d:port`, or `[v6]:port`.
std::string_view fault_of_ipv4(std::string_view address);
std::string_view fault_of_ipv6(std::string_view address);

/// The host, without brackets, and the port of a `host:port` without fault.
std::pair<std::string, std::string> split_host_port(std::string_view address);

/// The opposite: `host:port`, `[v6]:port`.
std::string join_host_port(std::string_view host, std::string_view port);

/// Throws std::invalid_argument: `<where>: endpoint "<address>" <fault>; allowed are …`.
[[noreturn]] void refuse_address(std::string_view where, std::string_view address, std::string_view fault);

}  // namespace millrace::resolve::impl
