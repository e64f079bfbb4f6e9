// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

namespace millrace {

template <class Signature>
class bound;

/// A callback of two words: an object and a function that knows its type. Copies freely, owns nothing, allocates nothing.
template <class Result, class... Args>
class bound<Result(Args...)> {
 public:
  constexpr bound() noexcept = default;

  /// Binds a member function: `bound<void()>::to<&slot::on_timer>(*this)`.
  template <auto Member, class Object>
  static constexpr bound to(Object& object) noexcept {
    return bound{&object, [](void* self, Args... args) -> Result {
                   return (static_cast<Object*>(self)->*Member)(std::forward<Args>(args)...);
                 }};
  }

  /// Binds a free function whose first parameter is the object.
  static constexpr bound raw(void* object, Result (*function)(void*, Args...)) noexcept {
    return bound{object, function};
  }

  constexpr explicit operator bool() const noexcept { return function_ != nullptr; }

  Result operator()(Args... args) const { return function_(object_, std::forward<Args>(args)...); }

 private:
  constexpr bound(void* object, Result (*function)(void*, Args...)) noexcept : object_(object), function_(function) {}

  void* object_ = nullptr;
  Result (*function_)(void*, Args...) = nullptr;
};

}  // namespace millrace
