// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/net.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace millrace::sim {

net::net(loop& on, std::uint64_t seed) : loop_(on), port_(port_of(on)), random_(seed) {}

server& net::add(std::string_view name) {
  if (auto const found = servers_.find(name); found != servers_.end()) return *found->second;
  auto made = std::make_unique<server>(*this, std::string(name));
  return *servers_.emplace(std::string(name), std::move(made)).first->second;
}

server* net::find(std::string_view name) {
  if (auto const found = servers_.find(name); found != servers_.end()) return found->second.get();
  std::string const host = std::string(name) + ':';
  auto const found = servers_.lower_bound(host);
  return found != servers_.end() && found->first.starts_with(host) ? found->second.get() : nullptr;
}

server& net::operator[](std::string_view name) {
  if (server* const found = find(name)) return *found;
  std::string text = fmt::format("sim::net: there is no server '{}'; there are:", name);
  for (auto const& [known, one] : servers_) text += ' ' + known;
  throw std::out_of_range(text);
}

std::vector<server*> net::servers() {
  std::vector<server*> all;
  for (auto const& [name, one] : servers_) all.push_back(one.get());
  return all;
}

}  // namespace millrace::sim
