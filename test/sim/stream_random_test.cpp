// SPDX-License-Identifier: Apache-2.0
// Random schedules of streams: whatever happens at whatever time, each ends once, gives its permit back and leaves nothing
// outstanding, and no message is lost, doubled or reordered.
// usage: sim-stream-random FIRST COUNT; MILLRACE_SEED=N runs that schedule alone and prints its trace.
#include "random_holder.hpp"
#include "schedules.hpp"
#include "talker.hpp"

#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>

namespace {

using namespace millrace;
using namespace millrace::sim;

constexpr std::array names = {"a:1", "b:1"};

world_params random_params(std::uint64_t seed, rng& random, bool traced) {
  world_params params{.seed = seed, .traced = traced};
  params.pool.target = "a:1,b:1";
  params.pool.max_slots = 2 + random.below(3);
  params.pool.max_calls_per_slot = chance(random, 0.5) ? 1 + random.below(4) : 100;
  params.pool.max_waiting = chance(random, 0.2) ? 3 : 1000;
  params.pool.slot.dial_timeout = between(random, 100ms, 5s);
  params.client.retry.max_attempts = 1 + random.below(4);
  if (chance(random, 0.3)) params.client.retry.per_attempt_timeout = between(random, 1ms, 1s);
  if (chance(random, 0.5)) {
    params.client.idempotent = true;
    params.client.hedging = {.max_attempts = 2 + random.below(4), .max_extra_load = 1, .min_per_second = 10};
    params.client.hedging->delay = chance(random, 0.2) ? 0s : between(random, 0s, 500ms);
  }
  return params;
}

stream_answer random_answer(rng& random) {
  stream_answer one{.messages = random.below(9), .takes = between(random, 0s, 300ms)};
  if (chance(random, 0.3)) one.takes = {};
  if (chance(random, 0.5)) one.begins_after = between(random, 0s, 1s);
  if (chance(random, 0.2)) one.ends_after = random.below(5);
  if (chance(random, 0.2)) one.takes_messages = random.below(5);
  one.silent = chance(random, 0.1);
  if (chance(random, 0.1)) one.stuck = between(random, 0s, 1s);
  if (chance(random, 0.3)) one.code = chance(random, 0.7) ? status_code::unavailable : status_code::aborted;
  one.trailers_only = chance(random, 0.2);
  if (chance(random, 0.1)) one.never_left = one.code != status_code::ok;
  return one;
}

void disturb(server& at, rng& random) {
  switch (random.below(8)) {
    case 0: at.up(); break;
    case 1: at.down(); break;
    case 2: at.kill(); break;
    case 3: at.drop(); break;
    case 4: at.go_away(); break;
    case 5: at.accept_then_drop(between(random, 0s, 2s)); break;
    case 6: at.stream_with(random_answer(random)); break;
    case 7: at.stream_next(random_answer(random)); break;
  }
}

void plan_streams(world& in, std::deque<talker>& talkers, rng& random, duration until) {
  constexpr std::array kinds = {call_kind::server_stream, call_kind::client_stream, call_kind::bidi_stream};
  for (std::uint32_t left = 3 + random.below(40); left > 0; --left) {
    talker& one = talkers.emplace_back(in, kinds[random.below(3)], random.below(9));
    call_options const options{.timeout = between(random, 1ms, 6s), .wait_for_ready = chance(random, 0.4)};
    stream_options how{.write_watermark = random.below(12)};
    if (chance(random, 0.2)) how.read_idle_timeout = between(random, 1ms, 1s);
    if (chance(random, 0.2)) how.write_idle_timeout = between(random, 1ms, 1s);
    if (chance(random, 0.1)) one.most_reads = random.below(4);
    duration const at = between(random, 0s, until);
    in.at(at, [&one, options, how] { one.start(options, how); });
    if (chance(random, 0.2)) in.at(at + between(random, 0s, 2s), [&one] { one.cancel(); });
    if (chance(random, 0.2)) in.at(at + between(random, 0s, 2s), [&one] { one.drop(); });
    if (!chance(random, 0.2)) continue;
    std::uint32_t const moment = 1 + random.below(8);
    bool const drops = chance(random, 0.5);
    one.on_told = [&one, moment, drops](std::uint32_t told) {
      if (told == moment) drops ? one.drop() : one.cancel();
    };
  }
}

void plan_end(world& in, rng& random, duration until) {
  duration const at = between(random, 0s, until);
  duration const grace = between(random, 0s, 3s);
  switch (random.below(4)) {
    case 0: in.at(at, [&in, grace] { in.drain(grace); }); break;
    case 1: in.at(at, [&in] { in.destroy_pool(); }); break;
    case 2: in.at(at, [&in, grace] { in.stop(grace); }); break;
    case 3: break;
  }
}

void run_schedule(std::uint64_t seed, bool traced) {
  rng random(seed);
  world_params params = random_params(seed, random, traced);
  auto const holds = std::make_shared<random_holder>(random.next(), chance(random, 0.5) ? 0.2 * random.uniform() : 0);
  params.interceptors.push_back(holds);
  std::deque<talker> talkers;
  world world(std::move(params));
  holds->in = &world;
  // handles go before the loop, whatever happens
  struct farewell {
    std::shared_ptr<random_holder> holds;
    std::deque<talker>& talkers;
    ~farewell() { bid(); }
    void bid() {
      holds->let_go();
      for (talker& one : talkers) one.drop();
    }
  } last{holds, talkers};

  duration const until = between(random, 1s, 10s);
  for (char const* const name : names) world.net()[name].stream_with(random_answer(random));
  for (std::uint32_t left = random.below(25); left > 0; --left) {
    char const* const name = names[random.below(2)];
    std::uint64_t const what = random.next();
    world.at(between(random, 0s, until), [&world, name, what] {
      rng own(what);
      disturb(world.net()[name], own);
    });
  }
  plan_streams(world, talkers, random, until);
  plan_end(world, random, until);
  world.run_until(until + 9s);  // longer than any deadline
  for (talker const& one : talkers) {
    if (!one.sound()) throw std::logic_error("a stream did not end once, or its messages are not in order");
  }
  // what was stuck when the loop stopped comes back after its grace
  bool const all_back = world.has_pool() && !world.stopped();
  if (all_back && world.pool().snapshot().in_flight != 0) throw std::logic_error("a permit was not returned");
  last.bid();
  world.finish();
  if (traced) std::fputs(world.trace().text().c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) { return millrace::sim::run_schedules(argc, argv, run_schedule); }
