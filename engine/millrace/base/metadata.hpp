// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/inplace_vector.hpp>
#include <millrace/base/metadata_view.hpp>

#include <array>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace {

/// True when gRPC takes `key` from an application: not empty, only `0-9 a-z _ . -`, and not gRPC's own prefix `grpc-`.
bool legal_metadata_key(std::string_view key) noexcept;

/// True when gRPC takes `value` under `key`: printable ASCII (0x20 to 0x7e), or anything when the key ends in `-bin`.
bool legal_metadata_value(std::string_view key, std::string_view value) noexcept;

/// A call's request metadata: pairs of key and value in the order they were added; a key may come more than once. Copies what
/// it is given into itself: up to 8 pairs of 256 bytes together allocate nothing. Stays where it was made, so the views it
/// hands out hold until `clear` or its end.
class metadata {
 public:
  using entry = metadata_view::entry;

  /// Visits the entries in order: `for (auto [key, value] : metadata)`.
  class iterator {
   public:
    using value_type = entry;
    using difference_type = std::ptrdiff_t;

    iterator() noexcept = default;
    entry operator*() const noexcept { return (*of_)[at_]; }
    iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    iterator operator++(int) noexcept { return {of_, at_++}; }
    friend bool operator==(iterator, iterator) noexcept = default;

   private:
    friend class metadata;
    iterator(metadata const* of, std::size_t at) noexcept : of_(of), at_(at) {}

    metadata const* of_ = nullptr;
    std::size_t at_ = 0;
  };

  metadata() noexcept = default;
  metadata(metadata const&) = delete;
  metadata& operator=(metadata const&) = delete;

  /// Appends a copy of the pair. Throws `std::invalid_argument`, naming the pair and what is allowed, when gRPC would abort
  /// or drop it.
  void add(std::string_view key, std::string_view value);

  /// As `add`, but false where that throws. For values that must not show up in an error, such as credentials.
  bool try_add(std::string_view key, std::string_view value);

  std::size_t size() const noexcept { return first_.size() + more_.size(); }
  bool empty() const noexcept { return first_.empty(); }
  entry operator[](std::size_t at) const noexcept {
    return at < inline_entries ? first_[at] : more_[at - inline_entries];
  }
  iterator begin() const noexcept { return {this, 0}; }
  iterator end() const noexcept { return {this, size()}; }

  /// The first value under `key`.
  std::optional<std::string_view> find(std::string_view key) const noexcept { return view().find(key); }

  /// What is here now, as the other end's metadata is shown.
  metadata_view view() const noexcept;

  void clear() noexcept;

 private:
  static constexpr std::size_t inline_entries = 8;
  static constexpr std::size_t inline_bytes = 256;

  void append(std::string_view key, std::string_view value);
  std::string_view keep(std::string_view text);

  // every call has one, and most add nothing to it: what is empty is not initialised
  std::array<char, inline_bytes> bytes_;
  std::size_t used_ = 0;                                         // of them
  std::optional<std::pmr::monotonic_buffer_resource> overflow_;  // for texts that did not fit
  inplace_vector<entry, inline_entries> first_;
  std::vector<entry> more_;
};

}  // namespace millrace
