// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/base/connectivity.hpp>
#include <millrace/pool/coalescing.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

class tracked_operation;

/// One connection to one endpoint: a grpc::Channel (grpc_channel) or a simulated one. Cold: nothing here is on a call's path.
///
/// Calls that are in flight count as users, so that a slot may let go of a channel on which a GOAWAY lets calls finish.
class channel {
 public:
  explicit channel(std::string endpoint) : endpoint_(std::move(endpoint)) {}
  channel(channel const&) = delete;
  channel& operator=(channel const&) = delete;
  virtual ~channel() = default;

  std::string const& endpoint() const noexcept { return endpoint_; }

  virtual connectivity state() = 0;

  /// Leaves IDLE.
  virtual void connect() = 0;

  /// Completes `op` with ok when the state is no longer `last`, with not_ok at `until`, and soon after the channel is
  /// destroyed. Started through loop::start as `owner`, which stays valid until `op` is back.
  virtual void watch(tracked_operation& op, std::string_view owner, connectivity last, time_point until) = 0;

  /// Says why a channel in TRANSIENT_FAILURE failed, in the transport's words, without touching the network. Called back
  /// once, perhaps after the channel is destroyed; never if the loop ends first.
  virtual void explain(bound<void(std::string_view)> say) = 0;

  /// Nobody is called back for `explain` any more.
  virtual void forget_explain() noexcept = 0;

  virtual coalescing_stats coalescing() const { return {}; }

  void add_user() noexcept { ++users_; }

  /// The calls in flight on it, and one while a slot has it.
  unsigned users() const noexcept { return users_; }

  /// The slot's own reference counts as one user. The last one destroys the channel.
  static void drop_user(channel* one) noexcept {
    if (--one->users_ == 0) delete one;
  }

 private:
  std::string const endpoint_;
  unsigned users_ = 1;
};

/// Makes the channels of a pool.
class channel_factory {
 public:
  virtual ~channel_factory() = default;

  /// A channel to `endpoint`, not connecting yet. Owned by the caller, through `drop_user`.
  virtual channel* open(std::string const& endpoint) = 0;
};

}  // namespace millrace
