// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/resolver.hpp>

#include <utility>

namespace millrace::resolve {

/// Endpoints that never change.
class static_resolver final : public resolver {
 public:
  explicit static_resolver(endpoint_set set) noexcept : set_(std::move(set)) {}

  void start(resolver_listener& listener) override { listener.on_endpoints(set_); }

 private:
  endpoint_set set_;
};

}  // namespace millrace::resolve
