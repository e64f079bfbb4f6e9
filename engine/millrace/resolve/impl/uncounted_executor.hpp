// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>

#include <utility>

namespace millrace::resolve::impl {

/// A loop's executor for operations that go on in the background: Asio's I/O objects count each as work, and `loop::run` would not
/// return while a file is watched. This one cannot be asked to count.
class uncounted_executor {
 public:
  explicit uncounted_executor(loop& on) noexcept : loop_(&on) {}

  loop& query(boost::asio::execution::context_t) const noexcept { return *loop_; }

  template <class F>
  void execute(F&& f) const {
    loop_->get_executor().execute(std::forward<F>(f));
  }

  friend bool operator==(uncounted_executor const& a, uncounted_executor const& b) noexcept {
    return a.loop_ == b.loop_;
  }
  friend bool operator!=(uncounted_executor const& a, uncounted_executor const& b) noexcept { return !(a == b); }

 private:
  loop* loop_;
};

}  // namespace millrace::resolve::impl
