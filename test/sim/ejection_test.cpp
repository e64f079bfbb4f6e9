// SPDX-License-Identifier: Apache-2.0
// Stories about endpoints that are slow, sick, or not to be used yet.
#include "talker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

using namespace millrace;
using namespace millrace::sim;

namespace {

class health_recorder final : public observer {
 public:
  struct change {
    time_point at;
    std::string endpoint, to, why, reason;
  };
  std::vector<change> changes;
  std::vector<std::string> spared;
  std::vector<bool> panics;
  std::vector<std::uint32_t> priorities;

  using observer::on;
  void on(events::health_changed const& event) noexcept override {
    changes.push_back({event.at, std::string(event.endpoint), std::string(event.to), std::string(event.why),
                       std::string(event.reason)});
  }
  void on(events::ejection_spared const& event) noexcept override {
    spared.push_back(fmt::format("{} {} {}", event.endpoint, event.found_by, event.why));
  }
  void on(events::panic_changed const& event) noexcept override { panics.push_back(event.panicking); }
  void on(events::priority_changed const& event) noexcept override { priorities.push_back(event.to); }
};

std::string servers(int count) {
  std::string target;
  for (int at = 0; at < count; ++at) target += (at > 0 ? ",s" : "s") + std::to_string(at) + ":1";
  return target;
}

duration percentile(world const& in, double part) {
  std::vector<duration> all;
  for (call_record const& one : in.calls()) all.push_back(one.took());
  std::ranges::sort(all);
  return all[static_cast<std::size_t>(part * static_cast<double>(all.size() - 1))];
}

struct slow_run {
  double share;
  duration p95;
};

// three servers, of which one takes ten times as long
slow_run with_a_slow_one(std::string const& policy) {
  world world{{.pool = {.target = "a:1,b:1,c:1", .balance = policy}, .traced = false}};
  for (char const* const name : {"a:1", "b:1"}) world.net()[name].call_takes({.least = 8ms, .most = 12ms});
  world.net()["c:1"].call_takes({.least = 80ms, .most = 120ms});
  make_calls(world, 100ms, 20s, 2ms, {.timeout = 5s});
  world.pool().open();
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
  return {static_cast<double>(world.net()["c:1"].received()) / static_cast<double>(world.calls().size()),
          percentile(world, 0.95)};
}

// one of three servers fails all calls from 1 s on, and says for a second that it does not serve
struct sick_twice {
  explicit sick_twice(duration calls_until) {
    for (char const* const name : {"a:1", "b:1", "c:1"}) world.net()[name].health(health_answer::serving);
    make_calls(world, 0s, calls_until, 10ms);
    world.at(1s, [this] { world.net()["b:1"].answer_with({.code = status_code::internal}); });
    world.at(2s, [this] { world.net()["b:1"].health(health_answer::not_serving); });
    world.at(3s, [this] { world.net()["b:1"].health(health_answer::serving); });
  }

  health_recorder seen;
  sim::world world{{.pool = {.target = "a:1,b:1,c:1",
                             .accrual = health::accrual_params{.base_ejection = 60s},
                             .health_check = health::watch_params{},
                             .observer = &seen},
                    .client = {.retry = {.max_attempts = 1}}}};
};

}  // namespace

TEST_CASE("story: an endpoint that reads nothing is ejected when calls time out, and not when gRPC gives them back",
          "[sim][health][deadline]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1,b:1,c:1", .accrual = health::accrual_params{}, .observer = &seen},
               .client = {.retry = {.max_attempts = 1}}}};
  world.net()["a:1"].answer_with({.after = duration::max(), .stuck = 60s});
  world.pool().open();
  make_calls(world, 100ms, 5s, 20ms, {.timeout = 500ms});
  world.run_until(10s);
  REQUIRE_FALSE(seen.changes.empty());
  CHECK(seen.changes[0].endpoint == "a:1");
  CHECK(seen.changes[0].reason == "accrual");
  CHECK(world.net()["a:1"].in_flight() > 0);
  world.net()["a:1"].answer_with({});
  world.run_until(100s);
}

TEST_CASE("story: an endpoint that is ten times slower gets so few calls under peak_ewma that p95 does not show it",
          "[sim][health]") {
  slow_run const turns = with_a_slow_one("round_robin");
  slow_run const learned = with_a_slow_one("peak_ewma");
  slow_run const counted = with_a_slow_one("least_request");
  CHECK(turns.share == Approx(1.0 / 3).margin(0.01));
  CHECK(learned.share < 0.05);
  CHECK(counted.share < turns.share / 2);
  CHECK(turns.p95 > 80ms);
  CHECK(learned.p95 <= 12ms);
}

TEST_CASE("story: an endpoint whose calls fail is left out, tried with one call after a while, and comes back",
          "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1,b:1,c:1", .accrual = health::accrual_params{}, .observer = &seen},
               .client = {.retry = {.max_attempts = 1}}}};
  for (char const* const name : {"a:1", "b:1", "c:1"}) world.net()[name].call_takes(20ms);
  make_calls(world, 0s, 60s, 10ms);
  world.at(10s, [&] { world.net()["b:1"].answer_with({.code = status_code::unavailable}); });
  world.at(12s, [&] { world.net()["b:1"].answer_with({}); });
  std::uint64_t before = 0;
  world.run_until(11s);
  REQUIRE(seen.changes.size() == 1);
  CHECK(seen.changes[0].endpoint == "b:1");
  CHECK(seen.changes[0].to == "unhealthy");
  CHECK_FALSE(seen.changes[0].why.empty());
  before = world.net()["b:1"].received();
  world.run_until(12s);
  CHECK(world.net()["b:1"].received() == before);
  world.run_until(30s);
  REQUIRE(seen.changes.size() == 3);
  CHECK(seen.changes[1].to == "probing");
  CHECK(seen.changes[2].to == "healthy");
  // one call in the time that a call takes
  CHECK(seen.changes[2].at - seen.changes[1].at >= 20ms);
  world.run_calls();
  std::size_t const failed = world.calls().size() - count_ok(world);
  CHECK(failed >= 5);
  CHECK(failed < 12);
}

TEST_CASE("story: while an endpoint is probed one call at a time goes there", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1,b:1,c:1", .accrual = health::accrual_params{}, .observer = &seen},
               .client = {.retry = {.max_attempts = 1}}}};
  make_calls(world, 0s, 30s, 5ms);
  world.at(1s, [&] { world.net()["b:1"].answer_with({.code = status_code::unavailable}); });
  world.at(2s, [&] {
    world.net()["b:1"].answer_with({});
    world.net()["b:1"].call_takes(500ms);
  });
  std::uint64_t at_most = 0;
  bool probing = false;
  for (duration at = 2s; at < 20s; at += 10ms) {
    world.at(at, [&] {
      probing = !seen.changes.empty() && seen.changes.back().to == "probing";
      if (probing) at_most = std::max(at_most, world.net()["b:1"].in_flight());
    });
  }
  world.run_calls();
  CHECK(at_most == 1);
  CHECK(seen.changes.back().to == "healthy");
}

TEST_CASE("story: a stream that goes on for hours may be the trial, and keeps nobody out", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1", .panic_threshold = 0, .accrual = health::accrual_params{}, .observer = &seen},
               .client = {.retry = {.max_attempts = 1}}}};
  server& a = world.net()["a:1"];
  talker stream(world, call_kind::bidi_stream, 1);
  a.answer_with({.code = status_code::unavailable});
  make_calls(world, 0s, 1s, 100ms);
  world.run_until(1s);
  a.answer_with({});
  auto const probing_from = [&] {
    while (seen.changes.empty() || seen.changes.back().to != "probing") world.run_for(1ms);
    stream.start();
    world.run_for(1ms);
    return world.elapsed();
  };
  SECTION("its headers are the server's answer") {
    a.stream_with({.begins_after = 300ms, .takes = 1h});
    duration const begun = probing_from();
    call_record& next = world.call("hello", {.timeout = 20s});
    world.run_until(begun + 290ms);
    CHECK_FALSE(next.done());
    world.run_until(begun + 310ms);
    CHECK(next.ok());
    CHECK(seen.changes.back().to == "healthy");
  }
  SECTION("one of which nothing is heard keeps others out for a first ejection's time") {
    a.stream_with({.silent = true});
    duration const begun = probing_from();
    call_record& next = world.call("hello", {.timeout = 20s});
    world.run_until(begun + 4900ms);
    CHECK_FALSE(next.done());
    std::size_t const before = seen.changes.size();
    world.run_until(begun + 5s);
    CHECK(next.ok());
    // of which nobody need be told, but for the trial's success
    CHECK(seen.changes.size() == before + 1);
  }
  stream.cancel();
  world.run_calls();
}

TEST_CASE("story: outliers are ejected, but never more than the percentage", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = servers(10),
                        .outlier = health::outlier_params{.max_ejection_percent = 20},
                        .observer = &seen},
               .client = {.retry = {.max_attempts = 1}},
               .traced = false}};
  make_calls(world, 0s, 60s, 1ms);
  world.at(5s, [&] {
    for (int at = 0; at < 4; ++at) {
      world.net()["s" + std::to_string(at) + ":1"].answer_sometimes(0.95, {.code = status_code::unavailable});
    }
  });
  int out = 0;
  int most = 0;
  std::size_t heard = 0;
  for (duration at = 0s; at < 60s; at += 100ms) {
    world.at(at, [&] {
      for (; heard < seen.changes.size(); ++heard) out += seen.changes[heard].to == "unhealthy" ? 1 : -1;
      most = std::max(most, out);
    });
  }
  world.run_calls();
  CHECK(most == 2);
}

TEST_CASE("story: endpoints that leave, or are drained by hand, count no more for how many may be ejected",
          "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = servers(20),
                        .outlier = health::outlier_params{.max_ejection_percent = 20},
                        .observer = &seen},
               .client = {.retry = {.max_attempts = 1}},
               .traced = false}};
  auto const name = [](int at) { return "s" + std::to_string(at) + ":1"; };
  // ten go at 2 s, each with a call that takes long
  for (int at = 10; at < 20; ++at) world.net()[name(at)].call_takes(58s);
  world.pool().open();
  make_calls(world, 1s, 1100ms, 1ms, {.timeout = 60s});
  world.at(2s, [&] {
    for (int at = 10; at < 15; ++at) world.pool().async_drain_endpoint(name(at), 2min, [](error_code) {});
    endpoint_set left;
    for (int at = 0; at < 15; ++at) left.push_back({.address = name(at)});
    world.pool().update_endpoints(left);
  });
  make_calls(world, 3s, 55s, 1ms);
  world.at(5s, [&] {
    for (int at = 0; at < 4; ++at) world.net()[name(at)].answer_sometimes(0.95, {.code = status_code::unavailable});
  });
  std::set<std::string> out;
  std::size_t most = 0;
  std::size_t heard = 0;
  for (duration at = 3s; at < 55s; at += 100ms) {
    world.at(at, [&] {
      for (; heard < seen.changes.size(); ++heard) {
        health_recorder::change const& one = seen.changes[heard];
        if (one.to == "unhealthy") {
          out.insert(one.endpoint);
        } else {
          out.erase(one.endpoint);
        }
      }
      most = std::max(most, out.size());
    });
  }
  world.run_until(55s);
  for (int at = 10; at < 20; ++at) CHECK(world.net()[name(at)].in_flight() > 0);
  CHECK(most == 2);
  // who was let off is told
  CHECK_FALSE(seen.spared.empty());
  for (std::string const& one : seen.spared) CHECK(contains(one, "spared_by_limit"));
  world.run_calls();
}

TEST_CASE("story: an endpoint that leaves while it is ejected comes back as good as new, and both are told",
          "[sim][health]") {
  health_recorder seen;
  world world{
      {.pool = {.target = "a:1,b:1,c:1", .accrual = health::accrual_params{.base_ejection = 60s}, .observer = &seen},
       .client = {.retry = {.max_attempts = 1}}}};
  make_calls(world, 0s, 10s, 10ms);
  world.at(1s, [&] { world.net()["b:1"].answer_with({.code = status_code::internal}); });
  world.at(3s, [&] { world.net()["b:1"].answer_with({}); });
  world.at(4s, [&] { world.pool().update_endpoints({{.address = "a:1"}, {.address = "c:1"}}); });
  world.at(5s, [&] { world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1"}, {.address = "c:1"}}); });
  world.run_until(5s);
  REQUIRE(seen.changes.size() == 2);
  CHECK(seen.changes[0].to == "unhealthy");
  CHECK(seen.changes[0].reason == "accrual");
  CHECK(seen.changes[1].to == "healthy");
  std::uint64_t const before = world.net()["b:1"].received();
  world.run_calls();
  CHECK(world.net()["b:1"].received() > before + 100);
}

TEST_CASE("story: a second reason against an endpoint is told, and what remains when the first goes", "[sim][health]") {
  sick_twice with(10s);
  with.world.run_calls();
  std::vector<std::string> told;
  for (health_recorder::change const& one : with.seen.changes) told.push_back(one.to + " by " + one.reason);
  CHECK(told == std::vector<std::string>{"unhealthy by accrual", "unhealthy by health_check", "unhealthy by accrual"});
}

TEST_CASE("story: panic: with less than half of the endpoints fit all are used, and that ends", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = servers(4), .accrual = health::accrual_params{}, .observer = &seen},
               .client = {.retry = {.max_attempts = 1}},
               .traced = false}};
  make_calls(world, 0s, 60s, 5ms);
  auto const sick = [&](int count, bool is) {
    for (int at = 0; at < count; ++at) {
      world.net()["s" + std::to_string(at) + ":1"].answer_with(
          {.code = is ? status_code::unavailable : status_code::ok});
    }
  };
  world.at(5s, [&] { sick(2, true); });
  world.run_until(8s);
  CHECK(seen.panics.empty());
  world.at(8s, [&] { sick(3, true); });
  world.run_until(9s);
  REQUIRE(seen.panics == std::vector<bool>{true});
  std::uint64_t const before = world.net()["s0:1"].received();
  world.run_until(10s);
  CHECK(world.net()["s0:1"].received() > before + 30);
  sick(3, false);
  world.run_until(40s);
  CHECK(seen.panics == std::vector<bool>{true, false});
  world.run_calls();
}

TEST_CASE("story: endpoints that have no connection are no reason to panic", "[sim][health]") {
  auto const untroubled = [](pool_params pool, std::string const& ejected, auto arrange) {
    health_recorder seen;
    pool.accrual = health::accrual_params{.base_ejection = 60s};
    pool.observer = &seen;
    world world{{.pool = std::move(pool), .client = {.retry = {.max_attempts = 1}}, .traced = false}};
    arrange(world);
    world.pool().open();
    make_calls(world, 1s, 20s, 5ms);
    world.at(5s, [&] { world.net()[ejected].answer_with({.code = status_code::unavailable}); });
    world.run_until(6s);
    REQUIRE(seen.changes.size() == 1);
    std::uint64_t const before = world.net()[ejected].received();
    world.run_calls();
    CHECK(seen.panics.empty());
    CHECK(world.net()[ejected].received() == before);
  };
  SECTION("a name of ten addresses, of which four get a slot") {
    untroubled({.target = "s0:1", .max_slots = 4}, "s0:1", [](world& in) {
      endpoint_set all;
      for (int at = 0; at < 10; ++at) all.push_back({.address = in.net().add("s" + std::to_string(at) + ":1").name()});
      in.pool().update_endpoints(all);
    });
  }
  SECTION("a name of which half of the addresses lead nowhere") {
    untroubled({.target = servers(8)}, "s1:1", [](world& in) {
      for (int at = 0; at < 8; at += 2) in.net()["s" + std::to_string(at) + ":1"].down("Network is unreachable");
    });
  }
}

TEST_CASE("story: calls go to the next priority when the first is down, and back when it is up", "[sim][health]") {
  health_recorder seen;
  world world{
      {.pool = {.target = "a:1", .failover = {.recovery_timeout = 1s, .switching_delay = 2s}, .observer = &seen},
       .client = {.retry = {.max_attempts = 3}}}};
  world.net().add("b:1");
  world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1", .priority = 1}});
  make_calls(world, 1s, 30s, 10ms, {.timeout = 5s});
  world.pool().open();
  world.run_until(10s);
  CHECK(world.net()["b:1"].received() == 0);
  world.net()["a:1"].kill();
  world.run_until(10900ms);
  CHECK(world.net()["b:1"].received() == 0);
  world.run_until(12s);
  CHECK(world.net()["b:1"].received() > 90);
  world.net()["a:1"].up();
  world.run_until(26s);
  CHECK(seen.priorities == std::vector<std::uint32_t>{1, 0});
  std::uint64_t const at_b = world.net()["b:1"].received();
  world.run_calls();
  CHECK(world.net()["b:1"].received() == at_b);
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("story: at the start calls wait for the first priority while it connects, though the second is there",
          "[sim][health]") {
  auto const start = [](auto arrange) {
    world world{{.pool = {.target = "a:1"}, .client = {.retry = {.max_attempts = 1}}}};
    world.net().add("b:1");
    world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1", .priority = 1}});
    arrange(world.net()["a:1"]);
    call_record& one = world.call("hello", {.timeout = 30s});
    world.run_calls();
    CHECK(one.ok());
    return std::pair(one.info.endpoint, one.took());
  };
  using went = std::pair<std::string, duration>;
  CHECK(start([](server& a) { a.dial_takes(2s); }) == went{"a:1", 2s});
  CHECK(start([](server& a) { a.black_hole(); }) == went{"b:1", 10s});
  // and no longer than until its dial has failed
  CHECK(start([](server& a) { a.dial_takes(2s).down(); }) == went{"b:1", 2s});
  CHECK(start([](server& a) { a.down(); }) == went{"b:1", 1ms});
}

TEST_CASE("story: a new endpoint's share grows over the slow start's window", "[sim][health]") {
  world world{{.pool = {.target = "a:1", .slow_start = {.window = 20s}}, .traced = false}};
  world.net().add("b:1");
  make_calls(world, 0s, 60s, 5ms);
  world.at(25s, [&] { world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1"}}); });
  world.run_until(27s);
  // in the first 2 s at a tenth of the other's weight: 1/11 of 400 calls
  std::uint64_t const early = world.net()["b:1"].received();
  CHECK(early > 20);
  CHECK(early < 60);
  world.run_until(50s);
  std::uint64_t const before = world.net()["b:1"].received();
  world.run_calls();
  CHECK(static_cast<double>(world.net()["b:1"].received() - before) == Approx(1000).margin(20));
}

TEST_CASE("story: weights of endpoints are kept by the turns", "[sim][health]") {
  world world{{.pool = {.target = "a:1"}, .traced = false}};
  for (char const* const name : {"b:1", "c:1"}) world.net().add(name);
  world.pool().update_endpoints(
      {{.address = "a:1", .weight = 5}, {.address = "b:1", .weight = 3}, {.address = "c:1", .weight = 2}});
  world.pool().open();
  make_calls(world, 1s, 11s, 1ms);
  world.run_calls();
  CHECK(static_cast<double>(world.net()["a:1"].received()) == Approx(5000).margin(10));
  CHECK(static_cast<double>(world.net()["b:1"].received()) == Approx(3000).margin(10));
  CHECK(static_cast<double>(world.net()["c:1"].received()) == Approx(2000).margin(10));
}

TEST_CASE("story: a pool that grew for a burst shrinks again, without losing a call", "[sim][health]") {
  world world{{.pool = {.target = "a:1", .max_slots = 6, .max_calls_per_slot = 10}, .traced = false}};
  world.net()["a:1"].call_takes(500ms);
  world.at(1s, [&] {
    for (int i = 0; i < 60; ++i) world.call();
  });
  make_calls(world, 2s, 600s, 500ms);
  world.run_until(3s);
  CHECK(world.net()["a:1"].connections() >= 5);
  world.run_until(599s);
  CHECK(world.net()["a:1"].connections() == 1);
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("story: an endpoint gets no call before it has said that it serves", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1,b:1", .health_check = health::watch_params{}, .observer = &seen}}};
  world.net()["a:1"].health(health_answer::serving).health_takes(1s);
  world.net()["b:1"].health(health_answer::silent);
  auto& early = world.call("hello", {.timeout = 10s});
  make_calls(world, 2s, 3s, 10ms);
  world.run_until(900ms);
  CHECK_FALSE(early.done());
  world.run_until(3s);
  CHECK(early.ok());
  CHECK(world.net()["a:1"].received() == 101);
  CHECK(world.net()["b:1"].received() == 0);
  world.run_calls();
}

TEST_CASE("story: calls leave an endpoint that says it does not serve, and return", "[sim][health]") {
  health_recorder seen;
  world world{{.pool = {.target = "a:1,b:1", .health_check = health::watch_params{}, .observer = &seen}}};
  for (char const* const name : {"a:1", "b:1"}) world.net()[name].health(health_answer::serving);
  make_calls(world, 0s, 9s, 10ms);
  world.at(3s, [&] { world.net()["b:1"].health(health_answer::not_serving); });
  world.at(6s, [&] { world.net()["b:1"].health(health_answer::serving); });
  world.run_until(3001ms);
  std::uint64_t const before = world.net()["b:1"].received();
  world.run_until(6s);
  CHECK(world.net()["b:1"].received() == before);
  world.run_calls();
  CHECK(world.net()["b:1"].received() >= before + 140);
  CHECK(count_ok(world) == 900);
  REQUIRE(seen.changes.size() == 2);
  CHECK(seen.changes[0].to == "unhealthy");
  CHECK(seen.changes[1].to == "healthy");
}

TEST_CASE("story: a server without a health service is taken for healthy", "[sim][health]") {
  world world{{.pool = {.target = "a:1", .health_check = health::watch_params{}}}};
  world.net()["a:1"].health(health_answer::unimplemented);
  auto& one = world.call();
  world.run_calls();
  CHECK(one.ok());
}

TEST_CASE("story: a cure by one reason does not undo another: a server that serves and fails stays out",
          "[sim][health]") {
  sick_twice with(20s);
  with.world.run_until(2s);
  std::uint64_t const before = with.world.net()["b:1"].received();
  with.world.run_calls();
  CHECK(with.world.net()["b:1"].received() == before);
}

TEST_CASE("story: rotate replaces every connection, one at a time, and no call fails", "[sim][health]") {
  world world{{.pool = {.target = "a:1,b:1", .min_slots = 6, .max_slots = 6}}};
  world.net()["a:1"].call_takes(20ms);
  make_calls(world, 0s, 30s, 10ms);
  world.at(1s, [&] { world.pool().rotate(); });
  std::uint32_t least = 3;
  std::uint32_t most = 0;
  for (duration at = 1s; at < 29s; at += 1ms) {
    world.at(at, [&] {
      std::uint32_t const now = world.net()["a:1"].connections();
      least = std::min(least, now);
      most = std::max(most, now);
    });
  }
  world.run_calls();
  CHECK(world.net()["a:1"].connections_made() == 6);
  CHECK(world.net()["b:1"].connections_made() == 6);
  CHECK(least == 3);  // an old one goes when its replacement is there
  CHECK(most <= 5);   // the new one, and one that still drains
  CHECK(count_ok(world) == world.calls().size());
}
