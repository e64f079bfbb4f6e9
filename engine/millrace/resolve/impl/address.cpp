// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/impl/address.hpp>

#include <arpa/inet.h>

#include <charconv>
#include <stdexcept>

namespace millrace::resolve::impl {
namespace {

bool is_port(std::string_view text) noexcept {
  unsigned port = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port > 0 && port <= 65535;
}

std::string_view fault_of_host_port(std::string_view address) noexcept {
  std::size_t const colon = address.rfind(':');
  if (colon == address.npos || colon == 0) return "is not host:port";
  std::string_view const host = address.substr(0, colon);
  bool const bracketed = host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find(':') != host.npos) return "is an IPv6 address without brackets";
  if (host.find('/') != host.npos) return "has a slash in its host";
  if (!is_port(address.substr(colon + 1))) return "has no port in 1..65535";
  return {};
}

// gRPC's forms: unix:path, unix:/path, unix:///path
std::string_view fault_of_unix(std::string_view rest) noexcept {
  if (rest.starts_with("//")) {
    if (!rest.starts_with("///")) return "has an authority, which a Unix-domain socket has not";
    rest.remove_prefix(2);
  }
  return rest.empty() || rest == "/" ? "has no path" : std::string_view{};
}

std::string_view fault_of_dns(std::string_view rest) noexcept {
  if (rest.starts_with("//") && !rest.starts_with("///")) {
    return "names an authority server, which is not supported: write dns:///host:port";
  }
  return fault_of_host_port(rest.starts_with("///") ? rest.substr(3) : rest);
}

bool is_numeric(std::string_view host, int family) {
  unsigned char bytes[sizeof(in6_addr)];
  std::string const text(host.substr(0, host.find('%')));  // without the zone of a link-local address
  return inet_pton(family, text.c_str(), bytes) == 1;
}

}  // namespace

std::string_view fault_of(std::string_view address) noexcept {
  if (address.empty()) return "is empty";
  if (address.find(' ') != address.npos) return "has a space in it";
  if (address.starts_with("unix:")) return fault_of_unix(address.substr(5));
  if (address.starts_with("unix-abstract:")) return address.size() == 14 ? "has no name" : std::string_view{};
  if (address.starts_with("dns:")) return fault_of_dns(address.substr(4));
  for (std::string_view const scheme : {"ipv4:", "ipv6:", "static:", "file:"}) {
    if (address.starts_with(scheme)) return "has a scheme that stands for all endpoints of a target";
  }
  if (address.starts_with("http://") || address.starts_with("https://")) return "is a web address";
  std::size_t const scheme = address.find("://");
  if (scheme == address.npos || scheme == 0) return fault_of_host_port(address);
  // somebody else's name, which only gRPC understands
  return address.find_first_not_of('/', scheme + 3) == address.npos ? "names nothing" : std::string_view{};
}

std::string_view fault_of_ipv4(std::string_view address) {
  if (std::string_view const fault = fault_of_host_port(address); !fault.empty()) return fault;
  return is_numeric(split_host_port(address).first, AF_INET) ? std::string_view{}
                                                             : "is not an IPv4 address with a port";
}

std::string_view fault_of_ipv6(std::string_view address) {
  if (std::string_view const fault = fault_of_host_port(address); !fault.empty()) return fault;
  bool const bracketed = address.front() == '[';
  return bracketed && is_numeric(split_host_port(address).first, AF_INET6)
             ? std::string_view{}
             : "is not a bracketed IPv6 address with a port";
}

std::pair<std::string, std::string> split_host_port(std::string_view address) {
  std::size_t const colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return {std::string(host), std::string(address.substr(colon + 1))};
}

std::string join_host_port(std::string_view host, std::string_view port) {
  bool const v6 = host.find(':') != host.npos;
  std::string text(v6 ? "[" : "");
  return text.append(host).append(v6 ? "]:" : ":").append(port);
}

void refuse_address(std::string_view where, std::string_view address, std::string_view fault) {
  std::string text(where);
  text.append(": endpoint \"").append(address).append("\" ").append(fault);
  throw std::invalid_argument(text.append("; allowed are host:port, [v6]:port, unix:path and gRPC targets"));
}

}  // namespace millrace::resolve::impl
