// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/net.hpp>

namespace millrace::sim {

net::net(loop& on, std::uint64_t seed) : loop_(on), port_(port_of(on)), random_(seed) {}

endpoint& net::operator[](std::string_view name) {
  if (auto const found = endpoints_.find(name); found != endpoints_.end()) return *found->second;
  std::string const host = std::string(name) + ':';
  if (auto const found = endpoints_.lower_bound(host); found != endpoints_.end() && found->first.starts_with(host)) {
    return *found->second;
  }
  auto made = std::make_unique<endpoint>(*this, std::string(name));
  return *endpoints_.emplace(std::string(name), std::move(made)).first->second;
}

std::vector<endpoint*> net::endpoints() {
  std::vector<endpoint*> all;
  for (auto const& [name, one] : endpoints_) all.push_back(one.get());
  return all;
}

}  // namespace millrace::sim
