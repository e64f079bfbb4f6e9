// SPDX-License-Identifier: Apache-2.0
#include "scripted_call.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/intercept/chain_machine.hpp>

#include <support/catch.hpp>

#include <algorithm>

using namespace millrace;

namespace {

// leads one call through a machine without a plan: any stage, resume or abandon at any time, then an orderly end
class wanderer {
 public:
  wanderer(rng& random, chain_ref chain, script& play) : random_(random), play_(play), machine_(chain) {}

  void run() {
    for (std::uint32_t steps = random_.below(12); steps > 0; --steps) step();
    while (machine_.where() != chain_machine::state::over) {
      machine_.abandon();
      (void)machine_.begin(hook::done, call_.arguments());
    }
    release();
    CHECK_FALSE(call_.context.handle_out());
    CHECK(call_.resumed.empty());
  }

 private:
  void step() {
    switch (random_.below(4)) {
      case 0: machine_.abandon(); break;
      case 1: release(); break;
      default: (void)machine_.begin(all_hooks[random_.below(5)], call_.arguments());
    }
  }

  // whoever has a handle lets the call go, and the driver hears of it
  void release() {
    while (!play_.handles.empty()) {
      held_call one = std::move(play_.handles.back());
      play_.handles.pop_back();
      if (random_.below(2) == 0) one.proceed();
      if (random_.below(2) == 0) one.finish(status_code::aborted, "resumed with this");
    }
    CHECK(call_.resumed.size() <= 1);
    while (!call_.resumed.empty()) {
      hook_result result = std::move(call_.resumed.back());
      call_.resumed.pop_back();
      (void)machine_.resume(std::move(result));
    }
  }

  rng& random_;
  script& play_;
  scripted_call call_;
  chain_machine machine_;
};

std::vector<std::size_t> ran(script const& play, hook which) {
  std::vector<std::size_t> who;
  for (auto const& step : play.log) {
    if (step.which == which) who.push_back(step.who);
  }
  return who;
}

}  // namespace

TEST_CASE("chain_machine: on_done runs once for each on_start that ran, in reverse, whatever happens", "[intercept]") {
  std::size_t whole = 0;
  std::size_t partial = 0;
  for (std::uint64_t seed = 1; seed <= 20000; ++seed) {
    rng random(seed);
    script play;
    // mostly proceed, so that calls get somewhere
    play.says = [&](auto, auto) {
      return random.below(3) != 0 ? answer::proceed : static_cast<answer>(random.below(5));
    };
    auto const how = static_cast<form>(random.below(2));
    std::size_t const size = random.below(4);
    with_chain(how, size, play, [&](chain_ref chain) { wanderer(random, chain, play).run(); });

    std::vector<std::size_t> const started = ran(play, hook::start);
    std::vector<std::size_t> done = ran(play, hook::done);
    std::reverse(done.begin(), done.end());
    if (done != started) FAIL("seed " << seed << ": " << started.size() << " started, " << done.size() << " done");
    if (!started.empty()) ++(started.size() == size ? whole : partial);
  }
  CHECK(whole > 1000);
  CHECK(partial > 1000);
}
