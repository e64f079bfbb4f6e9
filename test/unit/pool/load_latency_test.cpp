// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/load_latency.hpp>

#include <support/catch.hpp>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

void feed(load_latency& to, int calls, duration latency, std::uint32_t in_flight) {
  for (int call = 0; call < calls; ++call) to.on_done(latency, in_flight, 1);
}

}  // namespace

TEST_CASE("load_latency: a ratio takes a low load and enough calls under load", "[pool][scaling]") {
  load_latency one;
  feed(one, 100, 5ms, 50);
  CHECK(one.ratio() == 0);
  load_latency other;
  feed(other, 1, 1ms, 1);
  feed(other, 31, 5ms, 50);
  CHECK(other.ratio() == 0);
  feed(other, 1, 5ms, 50);
  CHECK(other.ratio() == Approx(5));
}

TEST_CASE("load_latency: the load is low up to two calls a ready slot", "[pool][scaling]") {
  load_latency one;
  for (int call = 0; call < 100; ++call) {
    one.on_done(1ms, 6, 3);
    one.on_done(9ms, 7, 3);
  }
  CHECK(one.ratio() == 0);  // never 32 in a row
  for (int call = 0; call < 32; ++call) one.on_done(9ms, 7, 3);
  CHECK(one.ratio() == Approx(9));
  CHECK(one.under_load() == Approx(9e6));
}

TEST_CASE("load_latency: what is compared with is the best low load, which is forgotten slowly", "[pool][scaling]") {
  load_latency one;
  feed(one, 100, 20ms, 1);  // cold
  feed(one, 200, 1ms, 1);
  feed(one, 20, 30ms, 1);  // a bad moment
  feed(one, 50, 10ms, 50);
  CHECK(one.ratio() > 7);
  feed(one, 10'000, 10ms, 1);  // the calls are others now
  feed(one, 50, 10ms, 50);
  CHECK(one.ratio() == Approx(1).epsilon(0.1));
}

TEST_CASE("load_latency: one call that takes long does not matter much", "[pool][scaling]") {
  load_latency one;
  feed(one, 50, 1ms, 1);
  feed(one, 100, 1ms, 50);
  feed(one, 1, 10ms, 50);
  CHECK(one.ratio() < 1.3);
}

TEST_CASE("load_latency: without a ready slot there is nothing to learn", "[pool][scaling]") {
  load_latency one;
  for (int call = 0; call < 100; ++call) one.on_done(1ms, 0, 0);
  for (int call = 0; call < 100; ++call) one.on_done(9ms, 5, 0);
  CHECK(one.ratio() == 0);
}
