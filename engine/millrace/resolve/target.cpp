// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/target.hpp>

#include <millrace/resolve/impl/address.hpp>

#include <algorithm>
#include <stdexcept>

namespace millrace::resolve {
namespace {

using impl::refuse_address;
using fault_function = std::string_view (*)(std::string_view);

void check(std::string_view address, std::string_view where, fault_function fault_of) {
  if (std::string_view const fault = fault_of(address); !fault.empty()) refuse_address(where, address, fault);
}

endpoint_set parse_list(std::string_view list, std::string_view where, fault_function fault_of) {
  endpoint_set endpoints;
  for (std::size_t from = 0; from <= list.size();) {
    std::size_t const to = std::min(list.find(',', from), list.size());
    std::string_view const address = list.substr(from, to - from);
    check(address, where, fault_of);
    endpoints.push_back({.address = std::string(address)});
    from = to + 1;
  }
  validate(endpoints, where);
  return endpoints;
}

dns_name parse_dns(std::string_view text, std::string_view where) {
  check(text, where, impl::fault_of);
  text.remove_prefix(text.starts_with("dns:///") ? 7 : 4);
  auto [host, port] = impl::split_host_port(text);
  return {std::move(host), std::move(port)};
}

file_name parse_file(std::string_view text, std::string_view where) {
  constexpr std::string_view scheme = "file://";
  if (!text.starts_with("file:///") || text.ends_with('/')) {
    throw std::invalid_argument(std::string(where) + ": \"" + std::string(text) +
                                "\" names no file; allowed is file:///path, with an absolute path");
  }
  return {std::string(text.substr(scheme.size()))};
}

}  // namespace

target parse_target(std::string_view text, std::string_view where) {
  if (text.starts_with("file:")) return parse_file(text, where);
  if (text.starts_with("dns:") && text.find(',') == text.npos) return parse_dns(text, where);
  if (text.starts_with("ipv4:")) return parse_list(text.substr(5), where, impl::fault_of_ipv4);
  if (text.starts_with("ipv6:")) return parse_list(text.substr(5), where, impl::fault_of_ipv6);
  return parse_list(text.substr(text.starts_with("static:") ? 7 : 0), where, impl::fault_of);
}

}  // namespace millrace::resolve
