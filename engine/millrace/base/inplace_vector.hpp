// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/check.hpp>

#include <array>
#include <cstddef>

namespace millrace {

/// A vector of at most `Capacity` small values, kept in place. What a machine's step returns.
template <class T, std::size_t Capacity>
class inplace_vector {
 public:
  void push_back(T const& value) {
    MILLRACE_CHECK(size_ < Capacity);
    values_[size_++] = value;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T const& operator[](std::size_t at) const noexcept { return values_[at]; }
  T const* begin() const noexcept { return values_.data(); }
  T const* end() const noexcept { return values_.data() + size_; }

 private:
  std::array<T, Capacity> values_{};
  std::size_t size_ = 0;
};

}  // namespace millrace
