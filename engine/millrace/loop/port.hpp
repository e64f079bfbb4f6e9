// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/time/clock.hpp>

#include <cstddef>

namespace millrace {

/// Where a loop's events come from: gRPC's completion queue (cq_port) or a script on virtual time (sim::port).
/// The loop's thread calls everything but `wake`.
class port {
 public:
  /// Takes an operation that came back.
  using sink = bound<void(operation&, completion)>;

  /// The value of `until` that means: look, do not wait.
  static constexpr time_point poll = time_point::min();

  virtual ~port() = default;

  virtual time_point now() noexcept = 0;

  /// Waits for the first event, for `until`, or for `wake`, then gives at most `limit` events to `deliver`, one by one, so
  /// that an exception thrown by one loses none. `until` is `poll`, a time, or `never`.
  virtual void wait(time_point until, std::size_t limit, sink deliver) = 0;

  /// Any thread. Ends the current `wait`, or the next one if none is under way.
  virtual void wake() noexcept = 0;
};

}  // namespace millrace
