// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/pool/coalescing.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace grpc {
class ServerBuilder;
class ServerContextBase;
}  // namespace grpc

namespace millrace {

class loop;

/// Write coalescing for a gRPC server whose completion queue is a loop's: the replies of a turn to one client go out as one
/// write, as a pool's calls do (turn_cork). Install it on the builder, and say `before_reply` each time.
/// (docs/design/0008-server-corking.md)
///
/// Off: do not install it. It also does nothing, at no risk, for sockets that are not TCP and with a gRPC whose socket mutator
/// is not known (can_tap_sockets).
///
/// Thread: the loop's, for everything but the sockets that gRPC accepts, which it does on any of its threads. Goes before the
/// loop and after the server.
class server_cork {
 public:
  /// A server that answers at once never has many calls in flight, so what counts as in flight on a connection is its replies in
  /// this turn, or in the last one that had any. Throws std::invalid_argument naming `cork_params.<field>`.
  explicit server_cork(loop& on, cork_params rule = {.min_in_flight = 8});
  server_cork(server_cork const&) = delete;
  server_cork& operator=(server_cork const&) = delete;
  ~server_cork();

  /// Has the server that is built next show its connections. It replaces a socket mutator of your own.
  void install(grpc::ServerBuilder& builder);

  /// A Write, WriteAndFinish or Finish of this call comes next.
  void before_reply(grpc::ServerContextBase& call) noexcept;

  /// Over all connections so far.
  coalescing_stats coalescing() const noexcept;

  /// Connections whose descriptor is held: all that are alive, and of those that ended about one in eight, or what no new
  /// connection has come to push out yet.
  std::size_t connections() const noexcept { return known_.size(); }

 private:
  class catcher;
  class arrival;
  class connection;
  struct known_tag;
  struct by_text : std::hash<std::string_view> {
    using is_transparent = void;
  };

  void add(std::string peer, int descriptor);
  void forget_ended();
  void forget(connection& one) noexcept;

  loop& loop_;
  cork_params const rule_;
  std::shared_ptr<catcher> const catcher_;
  std::unordered_map<std::string, std::unique_ptr<connection>, by_text, std::equal_to<>> known_;
  intrusive_list<connection, known_tag> least_checked_first_;
  coalescing_stats forgotten_;
};

}  // namespace millrace
