// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/resolver.hpp>

#include <memory>
#include <string>

namespace millrace {

/// Endpoints that your program sets: a handle that you keep, and a factory for `pool_params::make_resolver`. One handle may serve
/// any number of pools, on any loops; each gets the latest set when it is first used and every change from then on. Of several
/// changes in a row a pool may see only the last.
///
/// Any thread, at any time: before there is a pool, and after its end. Copies are handles of the same endpoints.
class manual_endpoints {
 public:
  /// Not known yet: pools wait for the first `update`.
  manual_endpoints();

  /// Throws as `update`.
  explicit manual_endpoints(endpoint_set set);

  /// From now on these. Throws std::invalid_argument, as `validate` says, and changes nothing then.
  void update(endpoint_set set) const;

  /// Your source has failed; pools keep the last set, and say `why` when they have none. Holds until the next `update`.
  void fail(std::string why) const;

  resolver_factory factory() const;

 private:
  class shared;
  class manual_resolver;

  // shared with the resolvers: the endpoints stay known to them when the handle is gone
  std::shared_ptr<shared> shared_;
};

}  // namespace millrace
