// SPDX-License-Identifier: Apache-2.0
#include <load/resolvable.hpp>

#include <netdb.h>
#include <sys/socket.h>

namespace millrace::load {
namespace {

bool resolves(std::string const& endpoint) {
  if (endpoint.starts_with("unix:")) return true;
  std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  bool const good = getaddrinfo(host.c_str(), nullptr, &wanted, &found) == 0;
  if (good) freeaddrinfo(found);
  return good;
}

}  // namespace

std::optional<bench::exit_now> unresolvable(options const& asked) {
  for (std::string const& one : asked.endpoints) {
    if (resolves(one)) continue;
    return bench::refusal(
        "millrace-load",
        bench::bad_flag("--endpoints", one, "this name does not resolve; allowed are addresses and names that do"));
  }
  return std::nullopt;
}

}  // namespace millrace::load
