// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/check.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>

namespace millrace {

/// A vector of at most `Capacity` small values, kept in place. What a machine's step returns. Places that hold no value are not
/// initialised: a step is on every call's path.
template <class T, std::size_t Capacity>
class inplace_vector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // NOLINTNEXTLINE(modernize-use-equals-default): it would be deleted, because of the union
  inplace_vector() noexcept {}

  void push_back(T const& value) {
    MILLRACE_CHECK(size_ < Capacity);
    std::construct_at(&values_[size_++], value);
  }

  void clear() noexcept { size_ = 0; }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T const& operator[](std::size_t at) const noexcept { return values_[at]; }
  T const* begin() const noexcept { return values_; }
  T const* end() const noexcept { return values_ + size_; }

 private:
  union {
    T values_[Capacity];
  };
  std::size_t size_ = 0;
};

}  // namespace millrace
