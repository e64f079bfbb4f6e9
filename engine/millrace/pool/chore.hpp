// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>

namespace millrace {

class loop;

/// Something its owner does from the loop, once however often it was asked for, so that nobody who asks runs somebody else's
/// code from inside.
class chore {
 public:
  chore(loop& on, bound<void()> what) noexcept : loop_(on), what_(what) {}
  chore(chore const&) = delete;
  chore& operator=(chore const&) = delete;

  /// It is not done any more.
  ~chore();

  void soon() noexcept;
  bool pending() const noexcept { return queued_ != nullptr; }

 private:
  class errand;

  loop& loop_;
  bound<void()> const what_;
  errand* queued_ = nullptr;  // on the loop, and outlives this
};

}  // namespace millrace
