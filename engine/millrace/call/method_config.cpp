// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/method_config.hpp>

namespace millrace {

bool method_table::add(std::string_view service, std::string_view method, method_config config) {
  std::string name;
  if (!service.empty()) name.append("/").append(service).append("/").append(method);
  return entries_.try_emplace(std::move(name), std::move(config)).second;
}

method_config const* method_table::find(std::string_view path) const {
  if (auto const* const own = exactly(path)) return own;
  if (auto const* const of_service = exactly(path.substr(0, path.rfind('/') + 1))) return of_service;
  return exactly("");
}

method_config const* method_table::exactly(std::string_view name) const {
  auto const found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace millrace
