// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/steady_timer.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/sim/port.hpp>

#include "support.hpp"

using namespace millrace;
using namespace std::chrono_literals;

namespace {

struct listener {
  listener(std::vector<std::string>& out, std::string says) : log(out), name(std::move(says)) {}
  void on_back(completion how) {
    log.push_back(name + (how == completion::ok ? "" : how == completion::not_ok ? "!" : "?"));
  }

  std::vector<std::string>& log;
  std::string name;
  tag<&listener::on_back> op{*this};
};

struct outside {
  explicit outside(sim::port& on) : port(on) {}
  void on_due() { port.complete(tag, completion::ok); }

  sim::port& port;
  void* tag = nullptr;
  timer due{bound<void()>::to<&outside::on_due>(*this)};
};

}  // namespace

TEST_CASE("sim port: completions come in the order of their times, and of the script at one time", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  sim::port& port = sim::port_of(loop);
  time_point const start = port.now();
  std::vector<std::string> log;
  listener late(log, "late"), first(log, "first"), second(log, "second");
  loop.start(late.op, op_kind::user, "x", [&](void* tag) { port.complete_at(start + 2s, tag, completion::not_ok); });
  loop.start(first.op, op_kind::user, "x", [&](void* tag) { port.complete_at(start + 1s, tag, completion::ok); });
  loop.start(second.op, op_kind::user, "x", [&](void* tag) { port.complete_at(start + 1s, tag, completion::ok); });
  CHECK(port.tags_out() == 3);
  loop.run();
  CHECK(log == std::vector<std::string>{"first", "second", "late!"});
  CHECK(port.now() == start + 2s);
  CHECK(port.tags_out() == 0);
}

TEST_CASE("sim port: virtual hours take no time, and timers fire exactly when due", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  time_point const start = loop.now();
  auto const really = std::chrono::steady_clock::now();
  steady_timer timer(loop, 1000h);
  time_point fired{};
  timer.async_wait([&](boost::system::error_code) { fired = loop.now(); });
  loop.run();
  CHECK(fired == start + 1000h);
  CHECK(std::chrono::steady_clock::now() - really < 10s);
}

TEST_CASE("sim port: run_until stops at its time and goes on from there", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  time_point const start = loop.now();
  steady_timer timer(loop, 3s);
  bool fired = false;
  timer.async_wait([&](boost::system::error_code) { fired = true; });
  loop.run_until(start + 2s);
  CHECK(loop.now() == start + 2s);
  CHECK_FALSE(fired);
  loop.run();
  CHECK(fired);
}

TEST_CASE("sim port: the outside world acts while the loop waits", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  sim::port& port = sim::port_of(loop);
  time_point const start = port.now();
  std::vector<std::string> log;
  listener waits(log, "answered");
  outside peer(port);
  loop.start(waits.op, op_kind::user, "x", [&](void* tag) {
    port.expect(tag);
    peer.tag = tag;
    port.arm(peer.due, start + 5s);
  });
  loop.run();
  CHECK(log == std::vector<std::string>{"answered"});
  CHECK(loop.now() == start + 5s);
}

TEST_CASE("sim port: a loop that would hang for ever throws instead, and says what is out", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  sim::port& port = sim::port_of(loop);
  std::vector<std::string> log;
  listener forgotten(log, "forgotten");
  void* out = nullptr;
  loop.start(forgotten.op, op_kind::user, "x", [&](void* tag) { port.expect(out = tag); });
  CHECK_THROWS_WITH(loop.run(),
                    Catch::Matchers::Contains("wait for ever") && Catch::Matchers::Contains("1 operations"));
  port.complete(out, completion::ok);
  loop.run();
  CHECK(log == std::vector<std::string>{"forgotten"});
}

TEST_CASE("sim port: a tag cannot be completed twice", "[sim][port]") {
  millrace::loop loop(std::make_unique<sim::port>());
  sim::port& port = sim::port_of(loop);
  std::vector<std::string> log;
  listener once(log, "once");
  loop.start(once.op, op_kind::user, "x", [&](void* tag) {
    port.complete(tag, completion::ok);
    CHECK_THROWS_AS(port.complete(tag, completion::ok), std::logic_error);
  });
  loop.run();
  CHECK(log.size() == 1);
}

TEST_CASE("sim world: the same seed gives the same trace, another one another", "[sim][world]") {
  auto const trace_of = [](std::uint64_t seed) {
    sim::world world{{.seed = seed, .pool = {.target = "a:1,b:1"}}};
    world.net()["a"].call_takes({.least = 1ms, .most = 20ms}).answer_sometimes(0.3, {.code = status_code::unavailable});
    sim::make_calls(world, 0s, 1s, 10ms);
    world.at(500ms, [&] { world.net()["b"].kill(); });
    world.run_for(2s);
    return world.trace().text();
  };
  CHECK(trace_of(7) == trace_of(7));
  CHECK(trace_of(7) != trace_of(8));
}

TEST_CASE("sim net: an endpoint is known by host and port or by host alone, and an unknown one is an error",
          "[sim][net]") {
  sim::world world{{.pool = {.target = "a:1,b:1"}}};
  CHECK(&world.net()["a"] == &world.net()["a:1"]);
  CHECK_THROWS_WITH(world.net()["c"], "sim::net: there is no server 'c'; there are: a:1 b:1");
}

TEST_CASE("sim world: a broken invariant names the seed and the command that replays it", "[sim][world]") {
  sim::world world{{.seed = 4711, .pool = {.target = "a:1"}, .replay = "replay me"}};
  // an event that no pool sends
  sim::invariants& watched = world.watched();
  static_cast<observer&>(watched).on(events::slot_changed{.at = {},
                                                          .endpoint = "a:1",
                                                          .slot = 0,
                                                          .from = slot_state::closed,
                                                          .to = slot_state::ready,
                                                          .why = "",
                                                          .spent = {}});
  try {
    world.run_for(1s);
    FAIL("it went unnoticed");
  } catch (sim::broken_invariant const& broken) {
    CHECK_THAT(broken.what(), Catch::Matchers::Contains("slot 0 left closed") && Catch::Matchers::Contains("4711") &&
                                  Catch::Matchers::Contains("replay me"));
  }
}
