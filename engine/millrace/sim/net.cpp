// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/net.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace millrace::sim {

net::net(loop& on, std::uint64_t seed) : loop_(on), port_(port_of(on)), random_(seed) {}

endpoint& net::add(std::string_view name) {
  if (auto const found = endpoints_.find(name); found != endpoints_.end()) return *found->second;
  auto made = std::make_unique<endpoint>(*this, std::string(name));
  return *endpoints_.emplace(std::string(name), std::move(made)).first->second;
}

endpoint* net::find(std::string_view name) {
  if (auto const found = endpoints_.find(name); found != endpoints_.end()) return found->second.get();
  std::string const host = std::string(name) + ':';
  auto const found = endpoints_.lower_bound(host);
  return found != endpoints_.end() && found->first.starts_with(host) ? found->second.get() : nullptr;
}

endpoint& net::operator[](std::string_view name) {
  if (endpoint* const found = find(name)) return *found;
  std::string text = fmt::format("sim::net: there is no endpoint '{}'; there are:", name);
  for (auto const& [known, one] : endpoints_) text += ' ' + known;
  throw std::out_of_range(text);
}

std::vector<endpoint*> net::endpoints() {
  std::vector<endpoint*> all;
  for (auto const& [name, one] : endpoints_) all.push_back(one.get());
  return all;
}

}  // namespace millrace::sim
