// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/resolver.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::test {

/// Keeps what a resolver says.
class endpoint_log final : public resolver_listener {
 public:
  std::vector<endpoint_set> sets;
  std::vector<std::string> failures;
  std::function<void()> on_set = [] {};

  void on_endpoints(endpoint_set set) override {
    sets.push_back(std::move(set));
    on_set();
  }
  void on_resolve_failed(std::string_view why) override { failures.emplace_back(why); }

  /// The addresses of the last set: "a:1 b:1".
  std::string last() const { return sets.empty() ? "none" : addresses(sets.back()); }

  static std::string addresses(endpoint_set const& set) {
    std::string text;
    for (endpoint const& one : set) text.append(text.empty() ? "" : " ").append(one.address);
    return text;
  }
};

}  // namespace millrace::test
