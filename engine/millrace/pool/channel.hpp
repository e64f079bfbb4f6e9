// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/base/connectivity.hpp>
#include <millrace/base/status.hpp>
#include <millrace/health/serving_status.hpp>
#include <millrace/pool/coalescing.hpp>
#include <millrace/time/clock.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

class tracked_operation;
struct endpoint;

/// Hears what a server says of its health.
class health_listener {
 public:
  /// More may follow to a watch; of a check it is the last word, and its health_call is gone.
  virtual void on_answered(health::serving_status status) = 0;

  /// It is over without (another) answer, and the health_call is gone.
  virtual void on_ended(status const& why) = 0;

 protected:
  ~health_listener() = default;
};

/// A question after a server's health that is out.
class health_call {
 public:
  /// Takes it back: nobody is called any more, and it frees itself when gRPC has let go of it. To be done before its loop ends.
  virtual void orphan() noexcept = 0;

 protected:
  ~health_call() = default;
};

/// What to ask.
struct health_question {
  std::string_view service{};  ///< Empty: the server as a whole.
  bool watch = true;           ///< An answer at once and with every change (Watch), or a single one (Check).
  time_point until = never;    ///< For the server to know; who asks takes the question back by itself.
};

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

  /// Of silence before its first connection is pinged; 0: never.
  virtual duration keepalive_time() const noexcept { return {}; }

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

  /// Asks the server for its health (grpc.health.v1), with the channel's credentials and without anybody's interceptors. The
  /// listener is never called from inside, outlives the call or orphans it, and must not destroy the channel when called. Null:
  /// a channel of this kind cannot be asked.
  virtual health_call* ask_health(health_question const& question, health_listener& listener) {
    static_cast<void>(question);
    static_cast<void>(listener);
    return nullptr;
  }

  /// What write coalescing did on it so far, and why it does nothing; empty when it may.
  virtual coalescing_stats coalescing() const { return {}; }
  virtual std::string_view why_not_coalesced() const { return {}; }

  /// Lets go what coalescing holds back, if anything is.
  virtual void uncork() noexcept {}

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

  /// A channel to that endpoint, not connecting yet, and not pinged after less than `min_keepalive_time` of silence. Owned by the
  /// caller, through `drop_user`.
  virtual channel* open(endpoint const& to, duration min_keepalive_time) = 0;
};

}  // namespace millrace
