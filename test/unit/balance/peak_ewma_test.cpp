// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/peak_ewma.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using balance::field;
using balance::peak_ewma;

namespace {

constexpr time_point start{1h};

// two candidates are always compared with one another, so the cheaper one shows
class pair {
 public:
  pair() { policy.rebuild(some.all); }

  void done(std::uint32_t slot, duration at, duration latency, status_code code = status_code::ok) {
    policy.on_done({.now = start + at, .slot = slot, .code = code, .latency = latency});
  }

  /// The cheaper one at that time; 2 when they cost the same, so that chance decides.
  std::size_t cheaper(duration at) {
    std::size_t second = 0;
    for (int i = 0; i < 40; ++i) second += policy.pick({.now = start + at}).value();
    return second == 0 ? 0 : second == 40 ? 1 : 2;
  }

  field some = field::apart(2);
  peak_ewma policy{7};
};

}  // namespace

TEST_CASE("peak_ewma: without candidates there is no pick", "[balance][peak_ewma]") {
  peak_ewma policy{1};
  CHECK_FALSE(policy.pick({}));
  policy.rebuild({});
  CHECK_FALSE(policy.pick({}));
}

TEST_CASE("peak_ewma: a single candidate is always picked", "[balance][peak_ewma]") {
  auto one = field::apart(1);
  peak_ewma policy{1};
  policy.rebuild(one.all);
  for (int i = 0; i < 10; ++i) CHECK(policy.pick({}) == 0);
}

TEST_CASE("peak_ewma: the one with the shorter answers costs less, times the calls in flight", "[balance][peak_ewma]") {
  pair two;
  CHECK(two.cheaper(0s) == 2);
  two.done(0, 0s, 10ms);
  two.done(1, 0s, 31ms);
  CHECK(two.cheaper(0s) == 0);
  two.some.load[0] = 2;
  CHECK(two.cheaper(0s) == 0);
  two.some.load[0] = 3;
  CHECK(two.cheaper(0s) == 1);
}

TEST_CASE("peak_ewma: a weight divides the cost", "[balance][peak_ewma]") {
  pair two;
  two.some.all[1].weight = 3;
  two.policy.rebuild(two.some.all);
  two.done(0, 0s, 10ms);
  two.done(1, 0s, 29ms);
  CHECK(two.cheaper(0s) == 1);
  two.done(1, 0s, 31ms);
  CHECK(two.cheaper(0s) == 0);
  two.some.all[1].weight = 0.5;
  two.policy.rebuild(two.some.all);
  two.done(0, 0s, 60ms);
  CHECK(two.cheaper(0s) == 0);
  two.done(0, 0s, 63ms);
  CHECK(two.cheaper(0s) == 1);
}

TEST_CASE("peak_ewma: one slow answer counts at once and in full, a fast one little", "[balance][peak_ewma]") {
  pair two;
  two.done(1, 0s, 50ms);
  for (int i = 0; i < 100; ++i) two.done(0, 0s, 1ms);
  CHECK(two.cheaper(0s) == 0);
  two.done(0, 0s, 51ms);
  CHECK(two.cheaper(0s) == 1);
  two.done(0, 10ms, 1ms);
  two.done(1, 10ms, 50ms);
  CHECK(two.cheaper(10ms) == 1);
}

TEST_CASE("peak_ewma: in the decay time a shorter latency has two thirds of the weight", "[balance][peak_ewma]") {
  // 100 ms and then 10 ms make 10 + 90 / e = 43.1 ms
  for (auto const& [other, cheaper] : {std::pair{42ms, 1u}, std::pair{44ms, 0u}}) {
    pair two;
    two.done(0, 0s, 100ms);
    two.done(0, 10s, 10ms);
    two.done(1, 10s, other);
    CHECK(two.cheaper(10s) == cheaper);
  }
}

TEST_CASE("peak_ewma: what a slow one cost fades while nothing is heard of it", "[balance][peak_ewma]") {
  pair two;
  two.done(0, 0s, 100ms);
  // 100 ms / e² = 13.5 ms
  two.done(1, 20s, 13ms);
  CHECK(two.cheaper(20s) == 1);
  two.done(1, 20s, 14ms);
  CHECK(two.cheaper(20s) == 0);
}

TEST_CASE("peak_ewma: a candidate nothing is known of gets one call, and no more until it is back",
          "[balance][peak_ewma]") {
  pair two;
  two.done(0, 0s, 10s);
  CHECK(two.cheaper(0s) == 1);
  two.some.load[1] = 1;
  two.some.load[0] = 1000;
  CHECK(two.cheaper(0s) == 0);
  two.done(1, 0s, 1ms);
  CHECK(two.cheaper(0s) == 1);
}

TEST_CASE("peak_ewma: of two that nothing is known of the one with fewer calls is taken", "[balance][peak_ewma]") {
  pair two;
  two.some.load = {2, 3};
  CHECK(two.cheaper(0s) == 0);
}

TEST_CASE("peak_ewma: a server that fails at once attracts nobody", "[balance][peak_ewma]") {
  for (status_code code :
       {status_code::unavailable, status_code::deadline_exceeded, status_code::resource_exhausted,
        status_code::unimplemented, status_code::internal, status_code::unknown, status_code::data_loss}) {
    CAPTURE(to_string(code));
    pair two;
    two.done(0, 0s, 900ms);
    two.done(1, 0s, 0ns, code);  // counts 1 s
    CHECK(two.cheaper(0s) == 0);
    two.done(0, 0s, 3s);
    two.done(1, 0s, 2s, code);  // counts what it took, when that is more
    CHECK(two.cheaper(0s) == 1);
    two.done(1, 0s, 4s, code);
    CHECK(two.cheaper(0s) == 0);
  }
}

TEST_CASE("peak_ewma: quick failures do not better what is known of a slow server", "[balance][peak_ewma]") {
  for (int code = 1; code < status_code_count; ++code) {
    CAPTURE(code);
    pair two;
    two.done(0, 0s, 5s);
    for (int second = 0; second < 10; ++second) two.done(0, second * 1s, 0ns, static_cast<status_code>(code));
    two.done(1, 9s, 2s);  // 5 s have faded to 2.03 s
    CHECK(two.cheaper(9s) == 1);
  }
}

TEST_CASE("peak_ewma: a bad request's answer counts what it took, when that is more than is known",
          "[balance][peak_ewma]") {
  for (status_code code : {status_code::cancelled, status_code::invalid_argument, status_code::not_found,
                           status_code::already_exists, status_code::permission_denied, status_code::aborted,
                           status_code::failed_precondition, status_code::out_of_range, status_code::unauthenticated}) {
    CAPTURE(to_string(code));
    pair two;
    two.done(0, 0s, 10ms);
    two.done(1, 0s, 5ms, code);
    CHECK(two.cheaper(0s) == 1);
    two.done(1, 0s, 20ms, code);
    CHECK(two.cheaper(0s) == 0);
  }
}

TEST_CASE("peak_ewma: what is known outlives a rebuild, but not the slot's absence", "[balance][peak_ewma]") {
  pair two;
  two.done(0, 0s, 10ms);
  two.done(1, 0s, 20ms);
  two.policy.rebuild(two.some.all);
  CHECK(two.cheaper(0s) == 0);
  two.policy.rebuild(std::span(two.some.all).first(1));
  two.done(1, 0s, 1s);  // late, from the lost connection
  two.done(99, 0s, 1s);
  two.policy.rebuild(two.some.all);
  CHECK(two.cheaper(0s) == 1);
  two.some.load = {1, 1};
  CHECK(two.cheaper(0s) == 0);
}

TEST_CASE("peak_ewma: among many, each is one of the two compared in its turn", "[balance][peak_ewma]") {
  std::uint64_t const seed = 5;
  CAPTURE(seed);
  auto some = field::apart(10);
  peak_ewma policy{seed};
  policy.rebuild(some.all);
  for (std::uint32_t slot = 0; slot < 10; ++slot) {
    policy.on_done({.now = start, .slot = slot, .code = status_code::ok, .latency = slot == 3 ? 1s : 10ms});
  }
  std::vector<int> count(10);
  for (int i = 0; i < 9000; ++i) ++count[policy.pick({.now = start}).value()];
  for (std::size_t slot = 0; slot < 10; ++slot) {
    // the slow one loses every comparison; five standard errors of 1/9 are 149
    CHECK(std::abs(count[slot] - (slot == 3 ? 0 : 1000)) < 150);
  }
  CHECK(count[3] == 0);
}

TEST_CASE("peak_ewma: durations that are not positive are refused by name", "[balance][peak_ewma]") {
  CHECK_THROWS_WITH(peak_ewma(1, {.decay = 0s}), "peak_ewma_params.decay is 0 ns; allowed: more than 0");
  CHECK_THROWS_WITH(peak_ewma(1, {.failure_latency = -1ns}),
                    "peak_ewma_params.failure_latency is -1 ns; allowed: more than 0");
}
