// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/rng.hpp>
#include <millrace/time/clock.hpp>

namespace millrace::sim {

/// How long something takes: between `least` and `most`, evenly spread, and for a share of `slow_share` `slow` on top.
struct latency {
  duration least{};
  duration most = least;
  double slow_share = 0;
  duration slow{};

  duration draw(rng& random) const noexcept {
    auto const width = static_cast<double>((most - least).count());
    duration const usual = least + duration(static_cast<duration::rep>(width * random.uniform()));
    return random.uniform() < slow_share ? usual + slow : usual;
  }
};

}  // namespace millrace::sim
