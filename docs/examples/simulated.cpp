// SPDX-License-Identifier: Apache-2.0
// A backend dies under load and returns: the real engine on virtual time, in milliseconds. usage: simulated
#include <millrace/sim/world.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace sim = millrace::sim;
using namespace std::chrono_literals;

int main() {
  // [story]
  sim::world world{{.pool = {.target = "a:1,b:1"}, .client = {.retry = {.max_attempts = 2}}}};
  world.net()["a:1"].call_takes({.least = 5ms, .most = 20ms});
  world.at(20s, [&] { world.net()["a:1"].kill(); });
  world.at(40s, [&] { world.net()["a:1"].up(); });
  for (auto when = 0ms; when < 60s; when += 10ms) {
    world.at(when, [&] { world.call("hello", {.timeout = 1s}); });
  }
  world.run_for(62s);
  // [end]

  // [check]
  auto const failed = std::ranges::count_if(world.calls(), [](sim::call_record const& one) { return !one.ok(); });
  fmt::print("{} calls, {} failed; a was dialed {} times\n", world.calls().size(), failed,
             world.net()["a:1"].dialed_at().size());
  // [end]
  return failed == 0 ? 0 : 1;
}
