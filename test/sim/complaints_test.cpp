// SPDX-License-Identifier: Apache-2.0
// What users of gRPC complain about, each as a story in which it does not happen. The numbers of the issues are those of
// github.com/grpc/grpc unless another repository is named.
#include <millrace/resolve/name_lookup.hpp>

#include "talker.hpp"

#include <memory>

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
  std::vector<duration> lost;     // how old each connection was that the server ended
  std::vector<duration> drained;  // and that the pool did

  using observer::on;
  void on(events::slot_changed const& event) noexcept override {
    if (event.from == slot_state::ready) (event.to == slot_state::idle ? lost : drained).push_back(event.spent);
  }
  void on(events::slot_replaced const& event) noexcept override {
    all.push_back({event.at, event.slot, std::string(event.why)});
  }
};

/// A name whose address changes.
class renamed final : public name_lookup {
 public:
  renamed(loop& on, std::string const& now_is) : loop_(on), now_is_(now_is) {}
  void start(std::string const&, std::string const&, callback done) override {
    done_ = done;
    loop_.arm(due_, loop_.now() + 5ms);
  }

 private:
  void on_due() { done_({.addresses = {now_is_}}); }

  loop& loop_;
  std::string const& now_is_;
  callback done_;
  timer due_{bound<void()>::to<&renamed::on_due>(*this)};
};

// 20 s, each a little earlier or later (gRFC A9)
constexpr latency about_20s{.least = 18s, .most = 22s};

}  // namespace

// complaints 1 and 6: here each channel is a connection by construction; that slots share none is shown with real sockets, by
// test/live/sockets_test.cpp
TEST_CASE("complaint 1: a pool of n connections is one connection (25062, 7957, 18487, 21332)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}}};
  world.pool().open();
  world.run_until(1s);
  CHECK(world.net()["a:1"].connections() == 4);
}

TEST_CASE("complaint 2: connections that share nothing dial and back off all at once (google-cloud-cpp 8878, 9179)",
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

TEST_CASE("complaint 3: 500 calls, of which 100 run and the rest wait unseen (21386, 11704, 33111)",
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

TEST_CASE("complaint 4: a library allots its users to channels by hand, six to each (triton client 55)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].call_takes(1s);
  std::vector<std::unique_ptr<sim::client>> users;
  std::size_t answered = 0;
  for (int at = 0; at < 60; ++at) {
    users.push_back(std::make_unique<sim::client>(world.pool(), world.net()));
    for (int i = 0; i < 5; ++i) {
      users.back()->async_call(world::called(), "hello", {.timeout = 10s},
                               [&](call_result const& result) { answered += result ? 1 : 0; });
    }
  }
  world.run_until(900ms);
  // whoever they come from, calls share what there is, and more is opened when that is full
  CHECK(world.net()["a:1"].in_flight() == 300);
  CHECK(world.pool().snapshot().waiting == 0);
  for (slot_snapshot const& one : world.pool().snapshot().slots) CHECK(one.in_flight <= 100);
  world.run_until(2s);
  CHECK(answered == 300);
}

TEST_CASE("complaint 5: at the start one server gets everything (20226, 14260)", "[sim][complaints]") {
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

TEST_CASE("complaint 7: calls fail when connections reach the server's age, all at once (31733, google-cloud-cpp 4996)",
          "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .min_slots = 3, .observer = &seen}, .traced = false}};
  world.net()["a:1"].call_takes(20ms).connection_age(about_20s);
  make_calls(world, 0s, 600s, 50ms);
  world.run_until(100s);
  CHECK_FALSE(seen.lost.empty());
  // what the age is has been seen often enough: connections are replaced before they reach it, one at a time
  std::size_t const learned = seen.all.size();
  seen.lost.clear();
  seen.drained.clear();
  world.run_until(590s);
  REQUIRE(seen.all.size() >= learned + 60);
  for (std::size_t at = learned + 1; at < seen.all.size(); ++at) {
    CHECK(seen.all[at].why == "age");
    CHECK(seen.all[at].at > seen.all[at - 1].at);
  }
  for (duration const age : seen.drained) CHECK(age < 20s);
  // one in sixteen lives on, to see whether the age is still what it was
  CHECK(seen.lost.size() < seen.drained.size() / 8);
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("complaint 8: the refresh of connections stops some day (google-cloud-cpp 9712, 5723)", "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .min_slots = 2, .observer = &seen}, .traced = false}};
  world.net()["a:1"].connection_age(about_20s);
  make_calls(world, 0s, 6h, 5s);
  // an hour of it without a server
  world.at(2h, [&] { world.net()["a:1"].kill(); });
  world.at(3h, [&] { world.net()["a:1"].up(); });
  world.run_until(5h);
  std::size_t const before = seen.all.size();
  world.run_until(6h);
  // two slots, at least every 20 s
  CHECK(seen.all.size() - before > 300);
}

TEST_CASE("complaint 9: a watch that cannot be cancelled holds up the end (21948, 3064, google-cloud-cpp 5871)",
          "[sim][complaints][T5][T6]") {
  world world{{.pool = {.target = "a:1,b:1", .min_slots = 8}}};
  world.net()["b:1"].black_hole();
  world.pool().open();
  world.run_until(2s);
  world.destroy_pool();
  world.run_for(1ms);
  CHECK(world.loop().outstanding() == 0);
}

TEST_CASE("complaint 11: taking a watch back after its channel was shut down crashes (30885)",
          "[sim][complaints][T7]") {
  // a server that dies, returns, ends its connections and refuses, and a pool that goes at each moment of that
  for (duration at = 0s; at <= 40ms; at += 1ms) {
    world world{{.pool = {.target = "a:1", .min_slots = 3}, .traced = false}};
    server& a = world.net()["a:1"];
    a.dial_takes(2ms);
    world.at(10ms, [&] { a.kill(); });
    world.at(12ms, [&] { a.up(); });
    world.at(20ms, [&] { a.go_away(); });
    world.at(30ms, [&] { a.black_hole().drop(); });
    world.pool().open();
    world.run_until(at);
    world.destroy_pool();
    world.run_for(1ms);
    CHECK(world.loop().outstanding() == 0);
    CHECK(world.net().live_channels() == 0);
    world.run_for(50ms);
  }
}

TEST_CASE("complaint 12: whoever dials before the server is up never connects, or 5 s late (28866, 12732)",
          "[sim][complaints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].down();
  auto& one = world.call("hello", {.timeout = 30s, .wait_for_ready = true});
  world.at(1s, [&] { world.net()["a:1"].up(); });
  world.run_calls();
  CHECK(one.ok());
  CHECK(world.elapsed() < 2s);
}

TEST_CASE("complaint 13: it takes ten seconds to minutes to reconnect after a server's restart (11411, 29996, 9767)",
          "[sim][complaints]") {
  for (duration const outage : {1s, 5s, 20s, 120s, 600s}) {
    world world{{.pool = {.target = "a:1", .min_slots = 4}, .traced = false}};
    world.net()["a:1"].call_takes(1ms);
    duration const back = 5s + outage;
    make_calls(world, 0s, back + 1s, 100ms, {.timeout = back + 15s, .wait_for_ready = true});
    world.at(5s, [&] { world.net()["a:1"].kill(); });
    world.at(back, [&] { world.net()["a:1"].up(); });
    world.run_until(back);
    while (world.net()["a:1"].connections() == 0) world.run_for(1ms);
    // as long again as it was away, and never longer than the longest backoff, 10 s ± 20 %
    CHECK(world.elapsed() - back <= std::min<duration>(outage, 12s));
    // who is connected first brings the others back
    world.run_for(20ms);
    CHECK(world.net()["a:1"].connections() == 4);
    world.run_calls();
    CHECK(count_ok(world) == world.calls().size());
  }
}

TEST_CASE("complaint 13: a hint that the server is back does nothing (11411)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4}, .traced = false}};
  world.pool().open();
  world.at(5s, [&] { world.net()["a:1"].kill(); });
  world.at(125s, [&] {
    world.net()["a:1"].up();
    world.pool().reset_backoff();
  });
  world.run_until(125010ms);
  CHECK(world.net()["a:1"].connections() == 4);
}

TEST_CASE("complaint 14: a backoff shorter than the handshake never recovers (33593)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1", .slot = {.backoff = {.initial = 10ms, .max = 20ms}}}}};
  world.net()["a:1"].dial_takes(3s);
  auto& one = world.call("hello", {.timeout = 10s});
  world.run_calls();
  CHECK(one.ok());
}

TEST_CASE("complaint 15: the cable is pulled and calls hang for 15 minutes (14717, 15889, 18554)",
          "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}, .client = {.retry = {.max_attempts = 1}}}};
  make_calls(world, 0s, 30s, 200ms, {.timeout = 500ms});
  world.at(10s, [&] { world.net()["a:1"].fall_silent(); });
  world.run_calls();
  // nothing is lost, so gRPC sees nothing: calls that run into their deadline are the evidence
  REQUIRE(seen.all.size() == 1);
  CHECK(seen.all[0].why == "unresponsive");
  CHECK(world.net()["a:1"].connections_made() == 2);
  // 3 s without a response, a call's time, and at most 1 s of rotation_params::spread
  for (call_record const& one : world.calls()) {
    duration const at = one.started - world.calls().front().started;
    if (at < 9s || at >= 14800ms) CHECK(one.ok());
  }
}

TEST_CASE("complaint 15: what is slow is not taken for dead while the server talks on the connection",
          "[sim][complaints]") {
  replacements seen;
  world world{{.pool = {.target = "a:1", .max_slots = 1, .observer = &seen}, .client = {.retry = {.max_attempts = 1}}}};
  make_calls(world, 0s, 20s, 200ms, {.timeout = 500ms});
  talker live(world, call_kind::server_stream, 0);
  SECTION("a stream's messages") {
    world.net()["a:1"].stream_with({.messages = 200, .takes = 100ms});
    world.at(0s, [&] { live.start(); });
    world.at(2s, [&] { world.net()["a:1"].answer_with({.after = duration::max()}); });
  }
  SECTION("a stream's headers") {
    world.net()["a:1"].stream_with({.messages = 1, .takes = 1h});
    for (duration at = 0s; at < 20s; at += 2s) {
      world.at(at, [&] { live.start(); });
    }
    world.at(2s, [&] { world.net()["a:1"].answer_with({.after = duration::max()}); });
  }
  SECTION("DEADLINE_EXCEEDED in its own words") {
    world.net()["a:1"].answer_with({.code = status_code::deadline_exceeded, .message = "mine", .after = 10ms});
  }
  world.run_until(21s);
  CHECK(seen.all.empty());
  CHECK(count_ok(world) < 20);
  live.drop();
  world.run_for(1ms);  // what it still waits for is told while it is here
}

TEST_CASE("complaint 19: a name's new address is seen late or never (12295, 17285, 22897, 15000)",
          "[sim][complaints]") {
  std::string address = "a:1";
  world world{{.pool = {.target = "dns:///service:1",
                        .make_lookup = [&](loop& on) { return std::make_unique<renamed>(on, address); }}}};
  server& a = world.net().add("a:1");
  server& b = world.net().add("b:1");
  make_calls(world, 0s, 120s, 100ms, {.timeout = 5s, .wait_for_ready = true});
  SECTION("all is well, and still the name is looked up again, every 30 s ± 20 %") {
    world.at(40s, [&] { address = "b:1"; });
    world.run_until(77s);
    CHECK(b.received() > 0);
    CHECK(a.connections() == 0);
  }
  SECTION("the old address refuses, so the name is looked up within a second") {
    world.at(40s, [&] {
      address = "b:1";
      a.kill();
    });
    world.run_until(41500ms);
    CHECK(b.received() > 0);
  }
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

namespace {

class ping_listener final : public observer {
 public:
  struct one {
    std::string endpoint;
    duration from;
    duration to;
    bool operator==(one const&) const = default;
  };
  std::vector<one> heard;

  using observer::on;
  void on(events::too_many_pings const& event) noexcept override {
    heard.push_back({std::string(event.endpoint), event.keepalive_time, event.next_keepalive_time});
  }
};

std::vector<duration> keepalive_times(world& of, std::string_view endpoint) {
  std::vector<duration> all;
  for (slot_snapshot const& one : of.pool().snapshot().slots) {
    if (one.endpoint == endpoint && one.state == slot_state::ready) all.push_back(one.keepalive_time);
  }
  return all;
}

// in a gRPC server's words (test/live/channel_test.cpp)
void mind_pings(world& of, std::string_view endpoint) { of.net()[endpoint].drop("Too many pings"); }

}  // namespace

TEST_CASE("complaint 16: connections close for too many pings again and again, and nobody says why (33661)",
          "[sim][complaints]") {
  ping_listener seen;
  world world{{.pool = {.target = "a:1", .max_slots = 1, .observer = &seen}}};
  world.net()["a:1"].call_takes(100ms);
  make_calls(world, 0s, 20s, 10ms);
  world.at(5s, [&] { mind_pings(world, "a:1"); });
  world.at(10s, [&] { world.net()["a:1"].drop("GOAWAY received; Error code: 11; Debug Text: too_many_pings"); });
  world.at(15s, [&] { world.net()["a:1"].drop(); });
  world.run_calls();
  // ten calls each were cut off
  CHECK(seen.heard == std::vector<ping_listener::one>{{"a:1", 30s, 60s}, {"a:1", 60s, 120s}});
}

TEST_CASE(
    "complaint 16: an endpoint that minds the pings gets fewer from new connections, as long as it is one (33661)",
    "[sim][complaints]") {
  ping_listener seen;
  world world{
      {.pool = {.target = "a:1,b:1", .min_slots = 4, .max_slots = 4, .keepalive = {.time = 20min}, .observer = &seen}}};
  for (auto const* const name : {"a:1", "b:1"}) world.net()[name].call_takes(100ms);
  using times = std::vector<duration>;
  make_calls(world, 0s, 60s, 5ms, {.timeout = 5s, .wait_for_ready = true});
  world.at(5s, [&] { mind_pings(world, "a:1"); });
  world.at(10s, [&] {
    CHECK(keepalive_times(world, "a:1") == times{40min, 40min});
    CHECK(keepalive_times(world, "b:1") == times{20min, 20min});
    world.pool().rotate();
  });
  world.at(15s, [&] {
    CHECK(keepalive_times(world, "a:1") == times{40min, 40min});  // of channels that are new
    mind_pings(world, "a:1");
  });
  world.at(20s, [&] { mind_pings(world, "a:1"); });
  world.at(25s, [&] { mind_pings(world, "a:1"); });
  world.at(30s, [&] { CHECK(keepalive_times(world, "a:1") == times{2h, 2h}); });
  world.at(35s, [&] { world.pool().update_endpoints({{.address = "b:1"}}); });
  world.at(40s, [&] { world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1"}}); });
  world.at(45s, [&] { CHECK(keepalive_times(world, "a:1") == times{20min, 20min}); });
  world.run_calls();
  // once for the two connections each time, but where it does not help any more
  CHECK(seen.heard ==
        std::vector<ping_listener::one>{
            {"a:1", 20min, 40min}, {"a:1", 40min, 80min}, {"a:1", 80min, 2h}, {"a:1", 2h, 2h}, {"a:1", 2h, 2h}});
}

TEST_CASE("complaint 16: pings that are not keepalive's are told of, and nothing doubles (33661)",
          "[sim][complaints]") {
  ping_listener seen;
  world world{{.pool = {.target = "a:1", .max_slots = 1, .keepalive = {.time = 0s}, .observer = &seen}}};
  world.net()["a:1"].call_takes(100ms);
  make_calls(world, 0s, 2s, 10ms);
  world.at(1s, [&] { mind_pings(world, "a:1"); });
  world.run_calls();
  CHECK(seen.heard == std::vector<ping_listener::one>{{"a:1", 0s, 0s}});
}

TEST_CASE("complaint 17: a channel parks in IDLE and nothing reconnects (8167, grpc-java 4170)", "[sim][complaints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.call();
  world.run_until(15s);
  world.net()["a:1"].go_away();
  world.run_until(16s);
  CHECK(world.pool().ready() == 1);
  CHECK(world.net()["a:1"].connections_made() == 2);
}

TEST_CASE("complaint 18: nobody is told of a change of state (32718)", "[sim][complaints]") {
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
