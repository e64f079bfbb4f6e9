// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace millrace {

/// Metadata that somebody else owns, as a server sent it: gRPC's array, or a simulator's list. Valid during the hook or
/// until the call's completion that handed it out.
class metadata_view {
 public:
  struct entry {
    std::string_view key;
    std::string_view value;
  };
  using at_function = entry (*)(void const* list, std::size_t at) noexcept;

  metadata_view() noexcept = default;
  metadata_view(void const* list, std::size_t size, at_function at) noexcept : list_(list), size_(size), at_(at) {}

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  entry operator[](std::size_t at) const noexcept { return at_(list_, at); }

  /// The first value under `key` (lower case, as HTTP/2 has it).
  std::optional<std::string_view> find(std::string_view key) const noexcept {
    for (std::size_t at = 0; at < size_; ++at) {
      if (entry const one = (*this)[at]; one.key == key) return one.value;
    }
    return std::nullopt;
  }

 private:
  void const* list_ = nullptr;
  std::size_t size_ = 0;
  at_function at_ = nullptr;
};

}  // namespace millrace
