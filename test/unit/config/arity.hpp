// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>

namespace millrace::test {

// converts to whatever a member is. Not to an optional, which would take it for a value and for another optional
struct anything {
  template <class T>
  requires(!std::same_as<T, std::nullopt_t>) operator T() const;
};

/// The number of members of an aggregate.
template <class T, class... Have>
consteval std::size_t arity() {
  if constexpr (requires { T{Have{}..., anything{}}; }) {
    return arity<T, Have..., anything>();
  } else {
    return sizeof...(Have);
  }
}

}  // namespace millrace::test
