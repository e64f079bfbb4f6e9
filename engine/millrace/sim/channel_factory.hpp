// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/channel.hpp>
#include <millrace/resolve/endpoint.hpp>
#include <millrace/sim/net.hpp>

namespace millrace::sim {

/// Makes a pool's channels to the endpoints of a net, which outlives the pool:
/// `pool{loop, params, std::make_unique<sim::channel_factory>(net)}`.
class channel_factory final : public millrace::channel_factory {
 public:
  explicit channel_factory(net& in) noexcept : net_(in) {}

  millrace::channel* open(endpoint const& to) override { return new channel(net_, net_.add(to.address)); }

 private:
  net& net_;
};

}  // namespace millrace::sim
