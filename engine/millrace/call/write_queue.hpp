// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace millrace {

/// Messages on their way to the wire, in order, and how many bytes they have. It refuses none: whoever pushes asks first whether
/// there is `room`, so that it holds at most the watermark and one message.
class write_queue {
 public:
  /// In bytes. 0: room for one message at a time.
  explicit write_queue(std::size_t watermark) noexcept : watermark_(watermark) {}

  /// The messages here, and the one on the wire, have fewer bytes than the watermark; or there are none.
  bool room() const noexcept { return bytes_ < watermark_ || (size() == 0 && on_wire_ == 0); }

  void push(message one) {
    bytes_ += one.size();
    // at least half of it was taken: each message is moved up at most once on average
    if (first_ * 2 >= messages_.size()) {
      messages_.erase(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
    messages_.push_back(std::move(one));
  }

  /// Takes the first, for the wire; it counts until `written`. Only when it is not empty, and none is on the wire.
  message take() noexcept {
    message one = std::move(messages_[first_++]);
    on_wire_ = one.size();
    return one;
  }

  /// The wire has taken it.
  void written() noexcept { bytes_ -= std::exchange(on_wire_, 0); }

  void clear() noexcept {
    messages_.clear();
    first_ = on_wire_ = bytes_ = 0;
  }

  std::size_t size() const noexcept { return messages_.size() - first_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::vector<message> messages_;
  std::size_t first_ = 0;  // those before it were taken
  std::size_t watermark_;
  std::size_t bytes_ = 0;
  std::size_t on_wire_ = 0;
};

}  // namespace millrace
