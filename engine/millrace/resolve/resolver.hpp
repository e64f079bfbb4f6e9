// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/endpoint.hpp>

#include <functional>
#include <memory>
#include <string_view>

namespace millrace {

class loop;

/// Whoever wants to know the endpoints: a pool.
class resolver_listener {
 public:
  /// The set is now this one, whole. Endpoints that are in it again keep their connections.
  virtual void on_endpoints(endpoint_set set) = 0;

  /// The source cannot be read or says nonsense; the last good set stays. `why` is one sentence.
  virtual void on_resolve_failed(std::string_view why) = 0;

 protected:
  ~resolver_listener() = default;
};

/// A source of endpoints. Implement it for a discovery service of your own: docs/examples/resolver.cpp is one in 20 lines.
///
/// Thread: the loop's. It must not block: what takes time happens elsewhere and comes back to the loop. It is destroyed before
/// its listener, and calls nobody from then on.
class resolver {
 public:
  virtual ~resolver() = default;

  /// Called once, when the pool is first used. May call the listener from inside, and from then on whenever the set changes.
  virtual void start(resolver_listener& listener) = 0;

  /// The set may be stale: a connection failed or was lost. A hint that may come often: pace what it costs.
  virtual void refresh() noexcept {}
};

/// Makes a pool's resolver on the pool's loop.
using resolver_factory = std::function<std::unique_ptr<resolver>(loop&)>;

}  // namespace millrace
