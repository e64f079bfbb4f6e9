// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class loop;

/// What a lookup found: `a.b.c.d:port` and `[v6]:port`, in the order they should be tried; or why it found nothing.
struct lookup_result {
  std::vector<std::string> addresses{};
  std::string error{};  ///< Empty after success.
};

/// Asks for the addresses of a name, without blocking. Implement it for a DNS client of your own, or for a test.
///
/// Thread: the loop's. When it is destroyed it forgets the question under way, and calls nobody from then on.
class name_lookup {
 public:
  using callback = bound<void(lookup_result)>;

  virtual ~name_lookup() = default;

  /// Asks; `done` is called once, later, never from inside. One question at a time.
  virtual void start(std::string const& host, std::string const& port, callback done) = 0;
};

/// Makes a resolver's lookup on its loop.
using name_lookup_factory = std::function<std::unique_ptr<name_lookup>(loop&)>;

}  // namespace millrace
