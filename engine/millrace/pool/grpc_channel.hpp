// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/channel.hpp>
#include <millrace/pool/lease.hpp>
#include <millrace/pool/params.hpp>

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class loop;
class method;
class socket_tap;
class turn_cork;

/// Bytes a message may have; 0 is no limit.
struct message_limits {
  std::size_t request = 0;
  std::size_t response = 0;
};

/// What each channel of a pool is given, but for what depends on its endpoint: the authority, a keepalive time that has grown, and
/// what `cork` adds. Of several with one key gRPC heeds the first.
grpc::ChannelArguments channel_arguments(pool_params const& params);

/// Makes grpc::Channels as a pool's parameters say: each with a subchannel pool of its own, so that N channels are N TCP
/// connections, and, unless stubs use them, without gRPC's retries, whose attempts would multiply with the engine's.
class grpc_dialer {
 public:
  explicit grpc_dialer(pool_params const& params);

  /// Not connecting yet. `authority` is what calls name and TLS expects; empty: the endpoint. `tap`, which may be null, is told of
  /// its sockets.
  std::shared_ptr<grpc::Channel> dial(std::string const& endpoint, std::string const& authority,
                                      duration min_keepalive_time,
                                      std::shared_ptr<socket_tap> const& tap = nullptr) const;

  /// Of silence before a connection is pinged: as `channel_args` or else `keepalive` have it, but at least `least`; 0: never.
  duration keepalive_time(duration least) const noexcept;

 private:
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  grpc::ChannelArguments args_;  // but for the keepalive time
  duration keepalive_time_;
};

/// A slot's grpc::Channel.
class grpc_channel final : public channel {
 public:
  /// Corks the connection that `tap`, which may be null, is installed on.
  grpc_channel(loop& on, std::string const& endpoint, std::shared_ptr<grpc::Channel> made,
               std::shared_ptr<socket_tap> tap, cork_params rule, message_limits limits, duration keepalive_time);
  ~grpc_channel() override;

  connectivity state() override;
  duration keepalive_time() const noexcept override { return keepalive_time_; }
  void connect() override;
  void watch(tracked_operation& op, std::string_view owner, connectivity last, time_point until) override;
  void explain(bound<void(std::string_view)> say) override;
  void forget_explain() noexcept override;
  health_call* ask_health(health_question const& question, health_listener& listener) override;
  coalescing_stats coalescing() const override;
  std::string_view why_not_coalesced() const override;
  void uncork() noexcept override;

  std::shared_ptr<grpc::Channel> const& get() const noexcept { return channel_; }
  ::grpc_channel* core() const noexcept { return core_; }
  grpc::CompletionQueue& queue() const noexcept { return queue_; }

  /// A call is about to be started.
  void before_start() noexcept;

  message_limits const& limits() const noexcept { return limits_; }

  /// The handle gRPC gives a method once it is registered on a channel; made at first use. Null for a method without a number.
  void* registered(method const& one);

 private:
  class question;

  loop& loop_;
  grpc::CompletionQueue& queue_;
  std::shared_ptr<grpc::Channel> channel_;
  ::grpc_channel* core_;
  std::shared_ptr<socket_tap> tap_;
  std::unique_ptr<turn_cork> cork_;
  message_limits const limits_;
  duration const keepalive_time_;
  std::vector<void*> registered_;
  question* question_ = nullptr;
};

/// The channel of a leased slot, for stubs of your own. Its pool needs `minimal_stack = false`, or nobody on this side enforces
/// the deadlines and message sizes of such calls. `of` is not empty and comes from a pool over gRPC.
inline std::shared_ptr<grpc::Channel> const& grpc_channel_of(lease const& of) {
  return static_cast<grpc_channel&>(of.channel()).get();
}

/// Makes grpc_channels for a pool.
class grpc_channel_factory final : public channel_factory {
 public:
  grpc_channel_factory(loop& on, pool_params const& params);

  channel* open(endpoint const& to, duration min_keepalive_time) override;

 private:
  loop& loop_;
  grpc_dialer dialer_;
  bool cork_;
  cork_params cork_rule_;
  message_limits limits_;
};

}  // namespace millrace
