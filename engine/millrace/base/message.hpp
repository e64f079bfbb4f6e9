// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace millrace {

/// What one kind of message (a gRPC byte buffer, a simulator's string) can do. One static table a kind; its address is the
/// kind's identity.
struct message_kind {
  std::size_t (*size)(void const* bytes) noexcept;
  void (*append_to)(void const* bytes, std::string& out);
  void* (*share)(void* bytes);  ///< Another reference to the same bytes.
  void (*release)(void* bytes) noexcept;
};

/// A serialised message of whatever the transport speaks: two words, movable, owning one reference to the bytes.
/// The engine carries messages and never looks inside, so it needs neither gRPC nor a copy.
class message {
 public:
  message() noexcept = default;

  /// Takes over one reference to `bytes`.
  message(void* bytes, message_kind const& kind) noexcept : bytes_(bytes), kind_(&kind) {}

  message(message&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)), kind_(other.kind_) {}
  message& operator=(message&& other) noexcept {
    message taken(std::move(other));
    std::swap(bytes_, taken.bytes_);
    std::swap(kind_, taken.kind_);
    return *this;
  }
  ~message() {
    if (bytes_ != nullptr) kind_->release(bytes_);
  }

  bool empty() const noexcept { return bytes_ == nullptr; }
  std::size_t size() const noexcept { return empty() ? 0 : kind_->size(bytes_); }

  /// Another reference to the same bytes.
  message share() const { return empty() ? message{} : message{kind_->share(bytes_), *kind_}; }

  /// A copy of the bytes.
  std::string to_string() const {
    std::string out;
    if (!empty()) kind_->append_to(bytes_, out);
    return out;
  }

  /// The bytes if they are of this kind; null otherwise.
  void* bytes_as(message_kind const& kind) const noexcept { return kind_ == &kind ? bytes_ : nullptr; }

  /// Gives up the reference.
  void* take() noexcept { return std::exchange(bytes_, nullptr); }

 private:
  void* bytes_ = nullptr;
  message_kind const* kind_ = nullptr;
};

}  // namespace millrace
