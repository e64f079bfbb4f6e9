// SPDX-License-Identifier: Apache-2.0
#include <load/endpoint_watch.hpp>

#include <support/catch.hpp>

#include <cmath>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

std::vector<std::string> const both{"b:1", "a:1"};

struct watched {
  counters counted;
  load::endpoint_watch watch;

  template <class Event>
  void tell(Event const& event) {
    counted.on(event);
    watch.on(event);
  }
  void slot(char const* endpoint, slot_state from, slot_state to) {
    counted.on(events::slot_changed{
        .at = start, .endpoint = endpoint, .slot = 0, .from = from, .to = to, .why = "", .spent = 0s});
  }
  void attempt(char const* endpoint, duration elapsed, time_point at = start) {
    counted.on(events::attempt_started{.at = at, .method = "/a/b", .endpoint = endpoint, .slot = 0, .number = 1});
    tell(events::attempt_finished{.at = at,
                                  .method = "/a/b",
                                  .endpoint = endpoint,
                                  .slot = 0,
                                  .number = 1,
                                  .code = status_code::ok,
                                  .message = "",
                                  .elapsed = elapsed,
                                  .never_left = false});
  }
  void health(char const* endpoint, char const* from, char const* to, char const* why) {
    tell(events::health_changed{.at = start, .endpoint = endpoint, .from = from, .to = to, .why = why});
  }
};

}  // namespace

TEST_CASE("endpoints: a second has what was counted since the last one", "[load]") {
  watched seen;
  for (int n = 0; n < 3; ++n) seen.attempt("a:1", 2ms);
  seen.attempt("b:1", 4ms);
  auto const first = seen.watch.next_second(both, seen.counted);
  REQUIRE(first.size() == 2);
  CHECK(first[0].address == "b:1");
  CHECK(first[0].attempts == 1);
  CHECK(first[1].attempts == 3);
  CHECK(first[1].ewma_us == 2000);
  seen.attempt("b:1", 4ms);
  // a:1 has neither slot nor calls: it has left the set
  auto const second = seen.watch.next_second(both, seen.counted);
  REQUIRE(second.size() == 1);
  CHECK(second[0].address == "b:1");
  CHECK(second[0].attempts == 1);
}

TEST_CASE("endpoints: one is ready, not connected, or what its health says against it", "[load]") {
  watched seen;
  auto const state = [&] { return seen.watch.next_second(both, seen.counted).at(0).state; };
  seen.slot("a:1", slot_state::vacant, slot_state::connecting);
  CHECK(state() == "not connected");
  seen.slot("a:1", slot_state::connecting, slot_state::ready);
  CHECK(state() == "ready");
  seen.health("a:1", "healthy", "unhealthy", "too many failures in a row");
  CHECK(state() == "unhealthy");
  seen.health("a:1", "unhealthy", "probing", "too many failures in a row");
  CHECK(state() == "probing");
  seen.health("a:1", "probing", "healthy", "");
  CHECK(state() == "ready");
}

TEST_CASE("endpoints: each ejection has its reason", "[load]") {
  watched seen;
  seen.health("a:1", "healthy", "unhealthy", "too many failures in a row");
  seen.health("a:1", "unhealthy", "probing", "too many failures in a row");
  seen.health("a:1", "probing", "unhealthy", "the trial call failed");
  seen.health("a:1", "unhealthy", "healthy", "");
  seen.health("a:1", "healthy", "unhealthy", "too many failures in a row");
  CHECK(seen.watch.ejection_reasons("a:1") ==
        std::map<std::string, std::uint64_t>{{"too many failures in a row", 2}, {"the trial call failed", 1}});
  CHECK(seen.counted.endpoint("a:1").ejections == 3);
  CHECK(seen.watch.ejection_reasons("b:1").empty());
}

TEST_CASE("endpoints: the average forgets a factor e in 10 s", "[load]") {
  watched seen;
  CHECK(seen.watch.ewma_us("a:1") == 0);
  seen.attempt("a:1", 1ms);
  seen.attempt("a:1", 3ms);  // at the same moment, so it weighs nothing
  CHECK(seen.watch.ewma_us("a:1") == Approx(1000));
  seen.attempt("a:1", 2ms, start + 10s);
  CHECK(seen.watch.ewma_us("a:1") == Approx(1000 + 1000 * (1 - std::exp(-1.0))));
}
