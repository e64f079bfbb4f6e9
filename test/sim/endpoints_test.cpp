// SPDX-License-Identifier: Apache-2.0
// Stories about endpoints that come and go while calls are made.
#include "support.hpp"

#include <millrace/base/errc.hpp>

#include <memory>
#include <optional>
#include <set>
#include <span>

using namespace millrace;
using namespace millrace::sim;

namespace {

endpoint_set set_of(std::vector<std::string> addresses) {
  endpoint_set made;
  for (std::string& one : addresses) made.push_back({.address = std::move(one)});
  return made;
}

std::vector<std::string> const ten = {"s0:1", "s1:1", "s2:1", "s3:1", "s4:1", "s5:1", "s6:1", "s7:1", "s8:1", "s9:1"};

/// Says what the story has it say, to the pool it was made for.
class told final : public resolver {
 public:
  explicit told(told*& place) : place_(place) { place = this; }
  ~told() override { place_ = nullptr; }

  resolver_listener* pool = nullptr;
  int refreshes = 0;

  void start(resolver_listener& listener) override { pool = &listener; }
  void refresh() noexcept override { ++refreshes; }

 private:
  told*& place_;
};

resolver_factory into(told*& place) {
  return [&place](loop&) { return std::make_unique<told>(place); };
}

class endpoints_recorder final : public observer {
 public:
  std::vector<events::endpoints_changed> changes;
  std::vector<std::string> failures;

  using observer::on;
  void on(events::endpoints_changed const& event) noexcept override { changes.push_back(event); }
  void on(events::resolve_failed const& event) noexcept override { failures.emplace_back(event.why); }
};

std::size_t slots_of(pool& one, std::string_view address) {
  auto const slots = one.snapshot().slots;
  return static_cast<std::size_t>(
      std::ranges::count_if(slots, [&](slot_snapshot const& each) { return each.endpoint == address; }));
}

}  // namespace

TEST_CASE("story: an endpoint that is added is dialed and takes its share", "[sim][endpoints]") {
  endpoints_recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net().add("b:1");
  make_calls(world, 0s, 2s, 10ms);
  world.at(1s, [&] { world.pool().update_endpoints(set_of({"a:1", "b:1"})); });
  world.run_calls();
  CHECK(count_ok(world) == 200);
  CHECK(world.net()["b:1"].received() >= 45);
  CHECK(world.net()["a:1"].connections_made() == 1);
  REQUIRE(seen.changes.size() == 1);
  CHECK(seen.changes[0].added == 1);
  CHECK(seen.changes[0].removed == 0);
  CHECK(seen.changes[0].endpoints == 2);
}

TEST_CASE("story: an endpoint that is removed finishes its calls, then its connections are closed",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["b:1"].call_takes(5s);
  world.at(0s, [&] {
    for (int i = 0; i < 4; ++i) world.call("slow", {.timeout = 10s});
  });
  world.at(1s, [&] { world.pool().update_endpoints(set_of({"a:1"})); });
  world.run_until(2s);
  CHECK(world.net()["b:1"].in_flight() == 2);
  std::uint64_t const before = world.net()["b:1"].received();
  for (int i = 0; i < 10; ++i) world.call();
  world.run_until(4s);
  CHECK(world.net()["b:1"].received() == before);
  CHECK(world.net()["b:1"].connections() == 1);
  world.run_calls();
  world.run_for(100ms);
  CHECK(count_ok(world) == 14);
  CHECK(world.net()["b:1"].connections() == 0);
  CHECK(slots_of(world.pool(), "b:1") == 0);
}

TEST_CASE("story: an endpoint that comes back while its calls finish is dialed anew, and the calls finish",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].call_takes(3s);
  auto& slow = world.call("slow", {.timeout = 10s});
  world.at(1s, [&] { world.pool().update_endpoints({}); });
  world.at(2s, [&] { world.pool().update_endpoints(set_of({"a:1"})); });
  world.run_until(2500ms);
  CHECK(world.net()["a:1"].connections() == 2);
  world.run_calls();
  CHECK(slow.ok());
  world.run_for(10ms);
  CHECK(world.net()["a:1"].connections() == 1);
}

TEST_CASE("story: a thousand updates under load lose no call and leave nothing behind", "[sim][endpoints]") {
  recorder seen;
  world world{
      {.pool = {.target = "s0:1", .observer = &seen}, .client = {.retry = {.max_attempts = 1}}, .traced = false}};
  for (int at = 0; at < 20; ++at)
    world.net().add("s" + std::to_string(at) + ":1").call_takes({.least = 1ms, .most = 30ms});
  make_calls(world, 0s, 10s, 2ms, {.timeout = 5s});
  for (int update = 0; update < 1000; ++update) {
    world.at(update * 10ms, [&world] {
      endpoint_set set;
      rng& random = world.net().random();
      for (int at = 0; at < 20; ++at) {
        if (random.below(3) == 0) set.push_back({.address = "s" + std::to_string(at) + ":1"});
      }
      if (set.empty()) set.push_back({.address = "s7:1"});
      world.pool().update_endpoints(std::move(set));
    });
  }
  world.run_calls();
  CHECK(count_ok(world) == 5000);
  CHECK(seen.attempts.size() == 5000);
  CHECK(seen.failed_picks.empty());
  world.pool().update_endpoints(set_of({"s3:1"}));
  world.run_for(1s);
  CHECK(world.net().live_channels() == 1);
  CHECK(world.pool().snapshot().slots.size() == 1);
}

TEST_CASE("story: more endpoints than max_slots: the first ones get a connection; when they change, others do",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1", .max_slots = 2}}};
  for (char const* const name : {"b:1", "c:1"}) world.net().add(name);
  world.pool().open();
  world.at(1s, [&] { world.pool().update_endpoints(set_of({"a:1", "b:1", "c:1"})); });
  world.run_until(2s);
  CHECK(world.net()["a:1"].connections() == 1);
  CHECK(world.net()["b:1"].connections() == 1);
  CHECK(world.net()["c:1"].connections() == 0);
  world.pool().update_endpoints(set_of({"c:1", "b:1"}));
  world.run_until(3s);
  CHECK(world.net()["a:1"].connections() == 0);
  CHECK(world.net()["c:1"].connections() == 1);
}

TEST_CASE("story: of more endpoints than max_slots the first ones are dead: others take their slots, and keep them",
          "[sim][endpoints]") {
  told* source = nullptr;
  world world{{.pool = {.make_resolver = into(source), .max_slots = 4}, .client = {.retry = {.max_attempts = 1}}}};
  for (std::string const& one : ten) world.net().add(one);
  for (std::size_t dead = 0; dead < 4; ++dead) world.net()[ten[dead]].down();
  for (int i = 0; i < 20; ++i) world.call();
  world.at(10ms, [&] { source->pool->on_endpoints(set_of(ten)); });
  world.run_until(1s);
  CHECK(count_ok(world) == 20);
  CHECK(world.pool().ready() == 4);
  world.run_until(1h);
  CHECK(world.pool().ready() == 4);
  for (std::size_t dead = 0; dead < 4; ++dead) CHECK(world.net()[ten[dead]].dialed_at().size() == 1);
  for (std::size_t used = 4; used < 8; ++used) CHECK(world.net()[ten[used]].connections_made() == 1);
  for (std::size_t spare = 8; spare < 10; ++spare) CHECK(world.net()[ten[spare]].dialed_at().empty());
  // one that was dead is as good as any when one of those in use goes
  world.net()[ten[0]].up();
  for (std::size_t gone = 5; gone < 10; ++gone) world.net()[ten[gone]].kill();
  make_calls(world, 1h + 1s, 1h + 2s, 10ms);
  world.run_until(1h + 2s);
  CHECK(count_ok(world) == 120);
  CHECK(world.pool().ready() == 2);
  CHECK(world.net()[ten[0]].connections() == 1);
}

TEST_CASE("story: while all of more endpoints than max_slots are dead, each is tried at its backoff",
          "[sim][endpoints]") {
  bool const hang = GENERATE(false, true);
  CAPTURE(hang);
  world world{{.pool = {.target = "s0:1", .max_slots = 4, .slot = {.dial_timeout = 1s}}, .traced = false}};
  for (std::string const& one : ten) hang ? world.net().add(one).black_hole() : world.net().add(one).down();
  world.pool().update_endpoints(set_of(ten));
  world.pool().open();
  world.run_until(10min);
  for (std::string const& one : ten) {
    CHECK(world.net()[one].dialed_at().size() >= 50);
    CHECK(world.net()[one].dialed_at().size() <= (hang ? 300 : 120));
  }
  world.net()[ten[7]].up();
  auto& patient = world.call("hello", {.timeout = 20s, .wait_for_ready = true});
  world.run_calls();
  CHECK(patient.ok());
}

TEST_CASE("story: slots that one endpoint has beyond its share make room for a new endpoint", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1", .min_slots = 4, .max_slots = 4}}};
  world.net().add("b:1");
  world.pool().open();
  world.at(1s, [&] { world.pool().update_endpoints(set_of({"a:1", "b:1"})); });
  world.run_until(2s);
  CHECK(world.net()["a:1"].connections() == 2);
  CHECK(world.net()["b:1"].connections() == 2);
}

TEST_CASE(
    "story: a replacement that makes room before its turn to dial is forgotten: others replace, and the pool grows",
    "[sim][endpoints]") {
  world world{
      {.pool = {.target = "a:1", .max_slots = 3, .max_calls_per_slot = 1, .rotation = {.spread = duration::zero()}}}};
  server& a = world.net()["a:1"];
  a.call_takes(1s);
  world.call("slow", {.timeout = 60s});
  world.run_until(100ms);
  // a second slot dials, and the replacement waits for its turn behind it
  a.dial_takes(1h);
  world.call("slow", {.timeout = 60s});
  world.at(200ms, [&] { world.pool().rotate(); });
  world.run_until(300ms);
  REQUIRE(slots_of(world.pool(), "a:1") == 3);
  world.pool().update_endpoints(set_of({"a:1", "b:1", "c:1"}));
  world.run_until(400ms);
  REQUIRE(slots_of(world.pool(), "a:1") == 1);
  a.dial_takes(1ms);
  world.run_until(4s);
  CHECK(a.connections_made() == 2);
  world.pool().update_endpoints(set_of({"a:1"}));
  for (int i = 0; i < 3; ++i) world.call("hello", {.timeout = 60s});
  world.run_until(4500ms);
  CHECK(a.in_flight() == 3);
  world.run_calls();
  CHECK(count_ok(world) == 5);
}

TEST_CASE("story: calls wait for the first answer of a resolver", "[sim][endpoints]") {
  told* source = nullptr;
  world world{{.pool = {.make_resolver = into(source)}}};
  world.net().add("a:1");
  REQUIRE(source != nullptr);
  CHECK(source->pool == nullptr);
  auto& one = world.call();
  world.at(1s, [&] { source->pool->on_endpoints(set_of({"a:1"})); });
  world.run_calls();
  CHECK(one.ok());
  CHECK(world.elapsed() >= 1s);
  world.destroy_pool();
  CHECK(source == nullptr);
}

TEST_CASE("story: a resolver that fails before it ever answered fails calls, which are told why", "[sim][endpoints]") {
  told* source = nullptr;
  endpoints_recorder seen;
  world world{{.pool = {.make_resolver = into(source), .observer = &seen}, .client = {.retry = {.max_attempts = 1}}}};
  world.net().add("a:1");
  auto& failed = world.call();
  auto& patient = world.call("hello", {.timeout = 10s, .wait_for_ready = true});
  world.at(1s, [&] { source->pool->on_resolve_failed("no such host"); });
  world.run_until(2s);
  CHECK(failed.code() == status_code::unavailable);
  CHECK(failed.text() == "no endpoint is ready: no such host");
  CHECK(seen.failures == std::vector<std::string>{"no such host"});
  world.at(3s, [&] { source->pool->on_endpoints(set_of({"a:1"})); });
  world.run_calls();
  CHECK(patient.ok());
}

TEST_CASE("story: after a good answer a resolver's failures change nothing", "[sim][endpoints]") {
  told* source = nullptr;
  endpoints_recorder seen;
  world world{{.pool = {.make_resolver = into(source), .observer = &seen}}};
  world.net().add("a:1");
  world.call();
  world.at(10ms, [&] { source->pool->on_endpoints(set_of({"a:1"})); });
  world.at(1s, [&] { source->pool->on_resolve_failed("no such host"); });
  world.at(2s, [&] { source->pool->on_endpoints(set_of({"a:1", "a:1"})); });
  make_calls(world, 3s, 4s, 100ms);
  world.run_calls();
  CHECK(count_ok(world) == 11);
  REQUIRE(seen.failures.size() == 2);
  CHECK(contains(seen.failures[1], "a:1"));
}

TEST_CASE("story: endpoints that go before the first call leave a pool that works", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net().add("c:1");
  world.at(1s, [&] { world.pool().update_endpoints(set_of({"b:1", "c:1"})); });
  make_calls(world, 2s, 3s, 10ms);
  world.run_calls();
  CHECK(count_ok(world) == 100);
  CHECK(world.net()["a:1"].connections_made() == 0);
  CHECK(world.net()["b:1"].received() == 50);
}

TEST_CASE("story: an endpoint that is drained before the first call is drained at once, and the pool works",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  std::optional<error_code> result;
  world.at(1s, [&] { world.pool().async_drain_endpoint("a:1", 10s, [&](error_code error) { result = error; }); });
  make_calls(world, 2s, 3s, 10ms);
  world.run_until(1001ms);
  CHECK(result == error_code{});
  world.run_calls();
  CHECK(count_ok(world) == 100);
  CHECK(world.net()["a:1"].connections_made() == 0);
  CHECK_FALSE(world.pool().readmit_endpoint("a:1"));
  make_calls(world, 3s, 4s, 10ms);
  world.run_calls();
  CHECK(world.net()["a:1"].received() >= 45);
}

TEST_CASE("story: an empty set fails calls at once, and says so", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1"}, .client = {.retry = {.max_attempts = 1}}}};
  world.pool().open();
  world.run_until(1s);
  world.pool().update_endpoints({});
  auto& one = world.call();
  world.run_calls();
  CHECK(one.code() == status_code::unavailable);
  CHECK(one.text() == "no endpoint is ready: there are none");
  CHECK(world.elapsed() < 1100ms);
}

TEST_CASE("story: connections that are lost or refused are evidence that the endpoints have changed",
          "[sim][endpoints]") {
  told* source = nullptr;
  world world{{.pool = {.make_resolver = into(source)}}};
  world.net().add("a:1");
  world.pool().open();
  world.at(10ms, [&] { source->pool->on_endpoints(set_of({"a:1"})); });
  world.run_until(1s);
  CHECK(source->refreshes == 0);
  world.net()["a:1"].kill();
  world.run_until(1100ms);
  CHECK(source->refreshes >= 1);
}

TEST_CASE("story: an endpoint is drained for maintenance and readmitted", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["b:1"].call_takes(1s);
  std::optional<error_code> result;
  for (int i = 0; i < 4; ++i) world.call();
  world.at(100ms, [&] { world.pool().async_drain_endpoint("b:1", 10s, [&](error_code error) { result = error; }); });
  world.run_until(500ms);
  CHECK_FALSE(result);
  CHECK(world.net()["b:1"].in_flight() == 2);
  world.run_until(2s);
  CHECK(result == error_code{});
  CHECK(count_ok(world) == 4);
  CHECK(world.net()["b:1"].connections() == 0);
  // a resolver's answer does not bring it back, nor does one that has it again after one that had not
  world.pool().update_endpoints(set_of({"a:1", "b:1"}));
  world.pool().update_endpoints(set_of({"a:1"}));
  world.run_until(1900ms);
  world.pool().update_endpoints(set_of({"a:1", "b:1"}));
  make_calls(world, 2s, 3s, 10ms);
  world.run_calls();
  CHECK(world.net()["b:1"].received() == 2);
  CHECK_FALSE(world.pool().readmit_endpoint("b:1"));
  make_calls(world, 3s, 4s, 10ms);
  world.run_calls();
  CHECK(world.net()["b:1"].received() >= 40);
  CHECK(count_ok(world) == 204);
}

TEST_CASE(
    "story: an endpoint that was drained is readmitted while it is not in the set, and is a new one when it comes",
    "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.pool().open();
  world.at(1s, [&] { world.pool().async_drain_endpoint("b:1", 1s, [](error_code) {}); });
  world.run_until(2s);
  world.pool().update_endpoints(set_of({"a:1"}));
  world.run_until(3s);
  CHECK_FALSE(world.pool().readmit_endpoint("b:1"));
  world.run_until(4s);
  CHECK(world.pool().readmit_endpoint("b:1") == make_error_code(errc::unknown_endpoint));
  CHECK(world.net()["b:1"].connections() == 0);
  world.pool().update_endpoints(set_of({"a:1", "b:1"}));
  world.run_until(5s);
  CHECK(world.net()["b:1"].connections() == 1);
}

TEST_CASE("story: calls that outlast the grace of an endpoint's drain are cancelled, and it says timed_out",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  for (char const* const name : {"a:1", "b:1"}) world.net()[name].call_takes(30s);
  auto& first = world.call("slow", {.timeout = 60s});
  auto& second = world.call("slow", {.timeout = 60s});
  std::optional<error_code> result;
  world.at(1s, [&] { world.pool().async_drain_endpoint("b:1", 2s, [&](error_code error) { result = error; }); });
  world.run_until(4s);
  REQUIRE(result);
  CHECK(*result == make_error_code(errc::timed_out));
  CHECK(first.done() != second.done());
  world.run_calls();
  CHECK(count_ok(world) == 1);
}

TEST_CASE("story: draining an endpoint that the pool does not have is an error", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1"}}};
  std::optional<error_code> result;
  world.at(0s, [&] { world.pool().async_drain_endpoint("c:1", 2s, [&](error_code error) { result = error; }); });
  world.run_until(1s);
  CHECK(result == make_error_code(errc::unknown_endpoint));
  CHECK(world.pool().readmit_endpoint("c:1") == make_error_code(errc::unknown_endpoint));
}

TEST_CASE("story: a drain of the pool ends the drain of an endpoint", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1"}}};
  world.net()["b:1"].call_takes(3s);
  world.net()["a:1"].call_takes(3s);
  for (int i = 0; i < 2; ++i) world.call("slow", {.timeout = 60s});
  std::optional<error_code> result;
  world.at(1s, [&] { world.pool().async_drain_endpoint("b:1", 20s, [&](error_code error) { result = error; }); });
  world.at(1500ms, [&] { world.drain(20s); });
  world.run_until(10s);
  CHECK(result == error_code{});
  CHECK(count_ok(world) == 2);
}

TEST_CASE("story: an aperture takes its part of each priority", "[sim][endpoints]") {
  std::uint64_t const seed = GENERATE(range<std::uint64_t>(1, 11));
  CAPTURE(seed);
  world world{{.seed = seed, .pool = {.target = "s0:1", .aperture = {.size = 2}}}};
  endpoint_set set = set_of(ten);
  for (std::string const& one : ten) world.net().add(one);
  for (std::size_t at = 0; at < 7; ++at) set[at].priority = 1;
  world.pool().update_endpoints(set);
  make_calls(world, 0s, 1s, 10ms);
  world.run_calls();
  std::uint32_t first = 0, second = 0;
  std::uint64_t received = 0;
  for (std::size_t at = 0; at < 10; ++at) {
    (at < 7 ? second : first) += world.net()[ten[at]].connections();
    if (at >= 7) received += world.net()[ten[at]].received();
  }
  CHECK(first == 2);
  CHECK(second == 2);
  CHECK(received == 100);
}

TEST_CASE("story: an endpoint that is drained leaves its place in the aperture to another, and gets it back",
          "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1,c:1", .aperture = {.size = 1}}}};
  auto const connected = [&] {
    std::vector<std::string> found;
    for (server* one : world.net().servers()) {
      if (one->connections() > 0) found.push_back(one->name());
    }
    return found;
  };
  world.pool().open();
  world.run_until(1s);
  auto const first = connected();
  REQUIRE(first.size() == 1);
  std::optional<error_code> result;
  world.pool().async_drain_endpoint(first[0], 1s, [&](error_code error) { result = error; });
  make_calls(world, 1001ms, 2s, 100ms);
  world.run_until(2s);
  CHECK(result == error_code{});
  CHECK(count_ok(world) == 10);
  auto const second = connected();
  REQUIRE(second.size() == 1);
  CHECK(second != first);
  CHECK_FALSE(world.pool().readmit_endpoint(first[0]));
  make_calls(world, 2001ms, 3s, 100ms);
  world.run_until(3s);
  CHECK(connected() == first);
  CHECK(count_ok(world) == 20);
}

TEST_CASE("story: clients that know their number share the endpoints out evenly", "[sim][endpoints]") {
  std::set<std::string> used;
  for (std::uint32_t client = 0; client < 5; ++client) {
    world world{{.pool = {.target = "s0:1", .aperture = {.size = 2, .client_index = client, .clients = 5}}}};
    for (std::string const& one : ten) world.net().add(one);
    world.pool().update_endpoints(set_of(ten));
    make_calls(world, 0s, 1s, 10ms);
    world.run_calls();
    CHECK(count_ok(world) == 100);
    for (server* one : world.net().servers()) {
      if (one->connections() > 0) CHECK(used.insert(one->name()).second);
    }
  }
  CHECK(used.size() == 10);
}

TEST_CASE("story: endpoints that connect together are one rebuild of the picker, or a few", "[sim][endpoints]") {
  class counted {
   public:
    explicit counted(int& rebuilds) : rebuilds_(&rebuilds) {}
    void rebuild(std::span<balance::candidate const> ready) {
      ++*rebuilds_;
      inner_.rebuild(ready);
    }
    std::optional<std::size_t> pick(balance::pick_info const& info) noexcept { return inner_.pick(info); }
    void on_done(balance::done_info const& done) noexcept { inner_.on_done(done); }

   private:
    int* rebuilds_;
    balance::any_picker inner_ = balance::make_picker("round_robin", 1);
  };
  int rebuilds = 0;
  world world{{.pool = {.target = "s0:1",
                        .make_picker =
                            [&] {
                              return balance::any_picker{"counted", counted{rebuilds}};
                            }},
               .client = {.retry = {.max_attempts = 1}}}};
  endpoint_set set;
  for (int at = 0; at < 200; ++at) set.push_back({.address = "s" + std::to_string(at) + ":1"});
  for (endpoint const& one : set) world.net().add(one.address).call_takes(5ms);
  world.pool().update_endpoints(set);
  make_calls(world, 0s, 2ms, 10us, {.timeout = 1s});
  world.run_until(1s);
  CHECK(world.pool().ready() == 200);
  CHECK(rebuilds <= 5);
  // half of them are lost in a turn, while calls are made in it
  rebuilds = 0;
  for (std::size_t at = 0; at < 100; ++at) world.net()[set[at].address].drop();
  for (int i = 0; i < 100; ++i) world.call();
  world.run_until(2s);
  CHECK(world.pool().ready() == 200);
  CHECK(rebuilds <= 5);
}

TEST_CASE("story: max_in_flight bounds the calls of a pool; more wait in order", "[sim][endpoints]") {
  world world{{.pool = {.target = "a:1,b:1", .max_in_flight = 3}}};
  for (char const* const name : {"a:1", "b:1"}) world.net()[name].call_takes(1s);
  for (int i = 0; i < 9; ++i) world.call("hello", {.timeout = 10s});
  world.run_until(500ms);
  CHECK(world.pool().snapshot().in_flight == 3);
  CHECK(world.pool().snapshot().waiting == 6);
  world.run_calls();
  CHECK(count_ok(world) == 9);
  CHECK(world.elapsed() >= 3s);
  CHECK(world.net()["a:1"].connections_made() + world.net()["b:1"].connections_made() == 2);
}

TEST_CASE("story: a call waits for a slot no longer than max_wait, and fails with RESOURCE_EXHAUSTED",
          "[sim][endpoints]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .max_slots = 1, .max_calls_per_slot = 1, .max_wait = 2s, .observer = &seen}}};
  world.net()["a:1"].call_takes(3s);
  auto& served = world.call("hello", {.timeout = 10s});
  auto& refused = world.call("hello", {.timeout = 10s});
  call_record* late = nullptr;
  world.at(1500ms, [&] { late = &world.call("hello", {.timeout = 10s}); });
  world.run_until(2500ms);
  REQUIRE(refused.done());
  CHECK(refused.code() == status_code::resource_exhausted);
  CHECK(refused.text() == "waited too long for a slot");
  CHECK(seen.failed_picks == std::vector<std::string>{"waited too long for a slot"});
  world.run_calls();
  CHECK(served.ok());
  CHECK(late->ok());
}
