// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/call_context.hpp>
#include <millrace/sim/world.hpp>

#include <chrono>
#include <deque>
#include <utility>

namespace millrace::sim {

using namespace std::chrono_literals;

inline duration between(rng& random, duration low, duration high) {
  return low + std::chrono::duration_cast<duration>((high - low) * random.uniform());
}

inline bool chance(rng& random, double share) { return random.uniform() < share; }

/// Holds some calls in some hook, and lets go of them later, or never.
class random_holder final : public interceptor {
 public:
  random_holder(std::uint64_t seed, double share) : random_(seed), share_(share) {}

  world* in = nullptr;

  hook_result on_start(call_context& context) override { return answer(context); }
  hook_result on_send_message(call_context& context, message const&) override { return answer(context); }
  hook_result on_initial_metadata(call_context& context, metadata_view) override { return answer(context); }
  hook_result on_recv_message(call_context& context, message const&) override { return answer(context); }
  hook_result on_done(call_context& context, status const&) override { return answer(context); }

  void let_go() { held_.clear(); }

 private:
  hook_result answer(call_context& context) {
    if (!chance(random_, share_)) return proceed;
    if (chance(random_, 0.1)) return finish(status_code::permission_denied, "by chance");
    if (chance(random_, 0.2)) context.shorten_deadline(context.now() + between(random_, 0s, 2s));
    held_call handle = context.hold_call();
    if (!handle) return proceed;
    if (chance(random_, 0.2)) handle.proceed();  // before the hook returns
    held_call& kept = held_.emplace_back(std::move(handle));
    if (chance(random_, 0.7)) {
      bool const ends = chance(random_, 0.2);
      in->after(between(random_, 0s, 2s), [&kept, ends] {
        if (ends) {
          kept.finish(status_code::aborted, "after a while");
        } else {
          kept.proceed();
        }
      });
    }
    return hold;
  }

  rng random_;
  double share_;
  std::deque<held_call> held_;
};

}  // namespace millrace::sim
