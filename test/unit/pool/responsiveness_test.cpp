// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/responsiveness.hpp>

#include <support/catch.hpp>

#include <stdexcept>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point at(duration since_start) { return time_point{} + 1000s + since_start; }

// what the n-th of `calls` calls says that were all started at `started` and ran into their deadline at `now`
bool last_of(responsiveness& one, int calls, duration now, duration started) {
  bool replace = false;
  for (int call = 0; call < calls; ++call) replace = one.on_deadline(at(now), at(started));
  return replace;
}

}  // namespace

TEST_CASE("responsiveness: enough calls in a row and long enough without a response", "[pool][responsiveness]") {
  struct row {
    int calls;
    duration now;
    duration started;
    bool replace;
  };
  // the last response is at 0, and it takes 3 calls and more than 3 s
  for (row const& one : {row{2, 10s, 1s, false}, row{3, 10s, 1s, true}, row{4, 10s, 1s, true}, row{3, 3s, 1s, false},
                         row{3, 3s + 1ns, 1s, true}, row{3, 10s, 0s, true}, row{3, 10s, -1ns, false},
                         row{100, 10s, -5s, false}, row{100, 2s, 1s, false}}) {
    responsiveness_params const params;
    responsiveness subject(params, at(0s));
    INFO(one.calls << " calls from " << one.started.count() << " to " << one.now.count() << " ns");
    CHECK(last_of(subject, one.calls, one.now, one.started) == one.replace);
  }
}

TEST_CASE("responsiveness: any response starts the count over", "[pool][responsiveness]") {
  responsiveness_params const params;
  responsiveness one(params, at(0s));
  CHECK_FALSE(last_of(one, 2, 10s, 1s));
  one.on_response(at(11s));
  CHECK_FALSE(last_of(one, 2, 20s, 12s));
  CHECK(last_of(one, 1, 20s, 12s));
}

TEST_CASE("responsiveness: calls that are older than the last response say nothing", "[pool][responsiveness]") {
  responsiveness_params const params;
  responsiveness one(params, at(0s));
  one.on_response(at(5s));
  CHECK_FALSE(last_of(one, 50, 30s, 4s));
  CHECK_FALSE(last_of(one, 2, 30s, 6s));
  CHECK(last_of(one, 1, 30s, 6s));
}

TEST_CASE("responsiveness: each replacement in vain doubles the wait, a response ends that", "[pool][responsiveness]") {
  responsiveness_params const params;
  responsiveness one(params, at(0s));
  duration now = 0s;
  duration wait = 3s;
  for (int round = 0; round < 20; ++round) {
    INFO("round " << round);
    CHECK_FALSE(last_of(one, 10, now + wait, now));
    CHECK(last_of(one, 1, now + wait + 1ns, now));
    now += wait + 1s;
    one.on_replaced(at(now));
    if (round < 10) wait *= 2;
  }
  one.on_response(at(now));
  CHECK_FALSE(last_of(one, 10, now + 3s, now));
  CHECK(last_of(one, 1, now + 3s + 1ns, now));
}

TEST_CASE("responsiveness: says so again until it is replaced", "[pool][responsiveness]") {
  responsiveness_params const params;
  responsiveness one(params, at(0s));
  CHECK(last_of(one, 3, 4s, 1s));
  CHECK(last_of(one, 1, 5s, 1s));
  one.on_replaced(at(6s));
  // those of the old connection that end now do not count against the new one
  CHECK_FALSE(last_of(one, 100, 60s, 5s));
}

TEST_CASE("responsiveness: 0 calls is never, and no wait overflows", "[pool][responsiveness]") {
  responsiveness_params const off{.calls = 0};
  responsiveness one(off, at(0s));
  CHECK_FALSE(last_of(one, 1000, 1h, 1s));
  responsiveness_params const patient{.after = duration::max()};
  responsiveness other(patient, at(0s));
  for (int round = 0; round < 20; ++round) other.on_replaced(at(0s));
  CHECK_FALSE(last_of(other, 1000, 1h, 1s));
}

TEST_CASE("responsiveness_params: a bad field is named with its value and what is allowed", "[pool][responsiveness]") {
  CHECK_THROWS_WITH(validate(responsiveness_params{.after = 0s}, "pool_params.responsiveness"),
                    "pool_params.responsiveness.after is 0ms; allowed: more than 0ms");
  CHECK_NOTHROW(validate(responsiveness_params{}, "pool_params.responsiveness"));
}
