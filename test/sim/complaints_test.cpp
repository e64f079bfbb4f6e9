// SPDX-License-Identifier: Apache-2.0
// What users of gRPC complain about, each as a story in which it does not happen. The numbers of the issues are those of
// github.com/grpc/grpc unless another repository is named.
#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;

namespace {

class replacements final : public observer {
 public:
  struct one {
    time_point at;
    std::uint32_t slot;
    std::string why;
  };
  std::vector<one> all;

  using observer::on;
  void on(events::slot_replaced const& event) noexcept override {
    all.push_back({event.at, event.slot, std::string(event.why)});
  }
};

/// A server that ends its connections at an age, each a little earlier or later (gRFC A9).
void age_connections(world& in, std::string const& name, duration age, duration until) {
  for (duration at = age; at < until; at += age) {
    in.at(at, [&in, name] { in.net()[name].go_away(); });
  }
}

}  // namespace

TEST_CASE("complaint: a pool of n connections is one connection (25062, 7957, 18487, 21332)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}}};
  world.pool().open();
  world.run_until(1s);
  CHECK(world.net()["a:1"].connections() == 4);
}

TEST_CASE("complaint: connections that share nothing dial and back off all at once (google-cloud-cpp 8878, 9179)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 8}}};
  world.net()["a:1"].dial_takes(50ms);
  world.at(2s, [&] { world.net()["a:1"].kill(); });
  world.at(5s, [&] { world.net()["a:1"].up(); });
  world.pool().open();
  world.run_until(20s);
  CHECK(world.net()["a:1"].most_dials_in_flight() == 1);
  CHECK(world.net()["a:1"].connections() == 8);
}

TEST_CASE("complaint: 500 calls, of which 100 run and the rest wait unseen (21386, 11704, 33111)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .max_slots = 5}}};
  world.net()["a:1"].call_takes(1s);
  for (int i = 0; i < 700; ++i) world.call("hello", {.timeout = 10s});
  world.run_until(500ms);
  CHECK(world.net()["a:1"].in_flight() == 500);
  CHECK(world.pool().snapshot().waiting == 200);
  for (slot_snapshot const& one : world.pool().snapshot().slots) CHECK(one.in_flight == 100);
  world.run_calls();
  CHECK(count_ok(world) == 700);
}

TEST_CASE("complaint: at the start one server gets everything (20226, 14260)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1,b:1,c:1"}}};
  world.net()["b:1"].dial_takes(200ms);
  world.net()["c:1"].dial_takes(400ms);
  for (char const* const name : {"a:1", "b:1", "c:1"}) world.net()[name].call_takes(5ms);
  world.pool().async_ready({.min_ready = 3}, [&](error_code error) {
    CHECK_FALSE(error);
    for (int i = 0; i < 300; ++i) world.call();
  });
  world.run_until(5s);
  CHECK(count_ok(world) == 300);
  for (char const* const name : {"a:1", "b:1", "c:1"}) CHECK(world.net()[name].received() == 100);
}

TEST_CASE("complaint: calls fail when connections reach the server's age, all at once (31733, google-cloud-cpp 4996)",
          "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .min_slots = 3, .observer = &seen}, .traced = false}};
  world.net()["a:1"].call_takes(20ms);
  age_connections(world, "a:1", 20s, 90s);
  make_calls(world, 0s, 300s, 50ms);
  world.run_until(100s);
  // what the age is has been seen often enough: connections are replaced before they reach it, one at a time
  std::size_t const learned = seen.all.size();
  world.run_until(290s);
  REQUIRE(seen.all.size() >= learned + 12);
  for (std::size_t at = learned + 1; at < seen.all.size(); ++at) {
    CHECK(seen.all[at].why == "age");
    CHECK(seen.all[at].at > seen.all[at - 1].at);
  }
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("complaint: a watch that cannot be cancelled holds up the end (21948, 3064, google-cloud-cpp 5871)",
          "[sim][complaints][T5][T6]") {
  world world{{.pool = {.target = "a:1,b:1", .min_slots = 8}}};
  world.net()["b:1"].black_hole();
  world.pool().open();
  world.run_until(2s);
  world.destroy_pool();
  world.run_for(1ms);
  CHECK(world.loop().outstanding() == 0);
}

TEST_CASE("complaint: whoever dials before the server is up never connects, or 5 s late (28866, 12732)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down();
  auto& one = world.call("hello", {.timeout = 30s, .wait_for_ready = true});
  world.at(1s, [&] { world.net()["a:1"].up(); });
  world.run_calls();
  CHECK(one.ok());
  CHECK(world.elapsed() < 2s);
}

TEST_CASE("complaint: it takes ten seconds to minutes to reconnect after a server's restart (11411, 29996, 9767)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}}};
  world.net()["a:1"].call_takes(1ms);
  make_calls(world, 0s, 130s, 100ms, {.timeout = 20s, .wait_for_ready = true});
  world.at(5s, [&] { world.net()["a:1"].kill(); });
  world.at(125s, [&] { world.net()["a:1"].up(); });
  // the longest backoff is 10 s ± 20 %; who is connected first brings the others back
  world.run_until(137500ms);
  CHECK(world.net()["a:1"].connections() == 4);
  world.run_calls();
  CHECK(world.pool().ready() == 4);
}

TEST_CASE("complaint: a backoff shorter than the handshake never recovers (33593)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .slot = {.backoff = {.initial = 10ms, .max = 20ms}}}}};
  world.net()["a:1"].dial_takes(3s);
  auto& one = world.call("hello", {.timeout = 10s});
  world.run_calls();
  CHECK(one.ok());
}

TEST_CASE("complaint: the cable is pulled and calls hang for 15 minutes (14717, 15889, 18554)", "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}, .client = {.retry = {.max_attempts = 1}}}};
  make_calls(world, 0s, 30s, 200ms, {.timeout = 500ms});
  world.at(10s, [&] { world.net()["a:1"].answer_with({.after = duration::max()}); });
  world.at(20s, [&] { world.net()["a:1"].answer_with({}); });
  world.run_until(16s);
  // nothing is lost, so gRPC sees nothing: calls that run into their deadline are the evidence
  REQUIRE_FALSE(seen.all.empty());
  CHECK(seen.all[0].why == "unresponsive");
  CHECK(world.net()["a:1"].connections_made() >= 2);
  world.run_calls();
  CHECK(world.calls().back().ok());
}

TEST_CASE("complaint: a channel parks in IDLE and nothing reconnects (8167, grpc-java 4170)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.call();
  world.run_until(15s);
  world.net()["a:1"].go_away();
  world.run_until(16s);
  CHECK(world.pool().ready() == 1);
  CHECK(world.net()["a:1"].connections_made() == 2);
}

TEST_CASE("complaint: nobody is told of a change of state (32718)", "[sim][complaints]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.pool().open();
  world.run_until(1s);
  world.net()["a:1"].kill("somebody pulled the plug");
  world.run_until(2s);
  auto const lost = std::ranges::find(seen.changes, slot_state::ready, &recorder::change::from);
  REQUIRE(lost != seen.changes.end());
  CHECK_FALSE(lost->why.empty());
  CHECK(contains(world.pool().why_not_ready(), "somebody pulled the plug"));
}
