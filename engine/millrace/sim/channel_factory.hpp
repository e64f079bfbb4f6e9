// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/channel.hpp>
#include <millrace/pool/params.hpp>
#include <millrace/resolve/endpoint.hpp>
#include <millrace/sim/net.hpp>

#include <algorithm>

namespace millrace::sim {

/// Makes a pool's channels to the endpoints of a net, which outlives the pool:
/// `pool{loop, params, std::make_unique<sim::channel_factory>(net)}`.
class channel_factory final : public millrace::channel_factory {
 public:
  /// Its channels say that they ping after `keepalive_time` of silence; there are no pings.
  explicit channel_factory(net& in, duration keepalive_time = keepalive_params{}.time) noexcept
      : net_(in), keepalive_time_(keepalive_time) {}

  millrace::channel* open(endpoint const& to, duration min_keepalive_time) override {
    return new channel(net_, net_.add(to.address), std::max(keepalive_time_, min_keepalive_time));
  }

 private:
  net& net_;
  duration const keepalive_time_;
};

}  // namespace millrace::sim
