// SPDX-License-Identifier: Apache-2.0
// Stories about the end: drains, pools that go away under calls, loops that stop.
#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/post.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;

namespace {

/// One call in each place a call can be: in flight, backing off, held at the start, held at the end, waiting for a slot, and
/// not begun yet.
struct everywhere {
  static std::shared_ptr<interceptor> make_holder(everywhere& owner) {
    struct by_method final : interceptor {
      explicit by_method(everywhere& o) : owner(o) {}
      everywhere& owner;
      hook_result on_start(call_context& context) override { return answer("start", context); }
      hook_result on_done(call_context& context, status const&) override { return answer("done", context); }
      hook_result answer(std::string_view at, call_context& context) {
        if (context.request_metadata().find("hold") != at) return proceed;
        owner.held.push_back(context.hold_call());
        return hold;
      }
    };
    return std::make_shared<by_method>(owner);
  }

  everywhere()
      : world_{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1},
                .interceptors = list(make_holder(*this))}} {
    server& a = world_.net()["a:1"];
    a.answer_next({.body = "held answer"});
    a.answer_next({.code = status_code::unavailable, .pushback = "5000"});
    a.answer_next({.after = duration::max()});
    held_at_end = &world_.call("held at the end", {.timeout = 20s, .metadata = {{"hold", "done"}}});
    backing_off = &world_.call("backing off", {.timeout = 20s});
    in_flight = &world_.call("in flight", {.timeout = 20s});
    queued = &world_.call("queued", {.timeout = 20s});
    held_at_start = &world_.call("held at the start", {.timeout = 20s, .metadata = {{"hold", "start"}}});
    world_.run_until(1s);
    CHECK(world_.net()["a"].in_flight() == 1);
    CHECK(world_.pool().snapshot().waiting == 1);
    CHECK(held.size() == 2);
    not_begun = &world_.call("not begun", {.timeout = 20s});
  }

  /// A call stays allocated while somebody has its handle.
  void let_go() {
    held.clear();
    world_.run_for(1ms);
  }

  void check_all_over(duration at) {
    CHECK(world_.watched().open_calls() == 0);
    CHECK(held_at_end->ok());
    for (call_record* one : {backing_off, in_flight, queued, held_at_start, not_begun}) {
      REQUIRE(one->done());
      CHECK(one->code() == status_code::unavailable);
      CHECK(one->started + one->took() == held_at_end->started + at);
      CHECK(one->times_finished == 1);
    }
    CHECK_THAT(in_flight->text(), Catch::Matchers::Contains("the pool was closed"));
    let_go();
  }

  std::vector<held_call> held;
  world world_;
  call_record* in_flight;
  call_record* backing_off;
  call_record* queued;
  call_record* held_at_start;
  call_record* held_at_end;
  call_record* not_begun;
};

}  // namespace

TEST_CASE("drain: calls in flight finish within the grace, those that wait and new ones are refused", "[sim][drain]") {
  recorder seen;
  world world{{.pool = {.target = "a:1,b:1", .max_slots = 2, .max_calls_per_slot = 5, .observer = &seen}}};
  world.net()["a:1"].call_takes(200ms);
  world.net()["b:1"].call_takes(300ms);
  for (int i = 0; i < 15; ++i) world.call();
  world.run_until(100ms);
  auto const& drained = world.drain(1s);
  world.run_for(1ms);
  CHECK(std::count_if(world.calls().begin(), world.calls().end(), [](auto const& one) { return one.done(); }) == 5);
  auto& late = world.call();
  world.run_until(301ms);
  CHECK_FALSE(drained);
  world.run_until(302ms);
  REQUIRE(drained);
  CHECK_FALSE(*drained);
  CHECK(count_ok(world) == 10);
  CHECK(late.code() == status_code::unavailable);
  CHECK(late.text() == "the pool is draining or closed");
  CHECK(world.net()["a"].connections() == 0);
  REQUIRE(seen.drains.size() == 1);
  CHECK(seen.drains[0].revoked == 0);
  for (auto const& slot : world.pool().snapshot().slots) CHECK(slot.state == slot_state::closed);
}

TEST_CASE("drain: a call made before it in the same turn gets its slot, one made after it does not", "[sim][drain]") {
  world world{{.pool = {.target = "a:1"}}};
  world.call();
  world.run_until(10ms);
  auto& before = world.call();
  auto const& drained = world.drain(1s);
  auto& after = world.call();
  world.run_for(100ms);
  REQUIRE(drained);
  CHECK_FALSE(*drained);
  CHECK(before.ok());
  CHECK(after.text() == "the pool is draining or closed");
}

TEST_CASE("drain: beyond the grace calls are cut off, and the drain says so", "[sim][drain]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.net()["a:1"].answer_with({.after = duration::max()});
  for (int i = 0; i < 3; ++i) world.call("hello", {.timeout = 60s});
  world.run_until(1s);
  auto const& drained = world.drain(2s);
  world.run_until(2999ms);
  CHECK_FALSE(drained);
  world.run_until(3001ms);
  REQUIRE(drained);
  CHECK(*drained == errc::timed_out);
  for (auto const& one : world.calls()) {
    REQUIRE(one.done());
    CHECK(one.code() == status_code::unavailable);
    CHECK(one.info.origin == call_end::revoked);
    CHECK(one.took() == 3s);
  }
  CHECK(seen.drains.at(0).revoked == 3);
  CHECK(seen.drains.at(0).elapsed == 2s);
}

TEST_CASE("drain: a lease whose owner does not look is not waited for", "[sim][drain]") {
  world world{{.pool = {.target = "a:1"}}};
  lease mine;
  world.pool().async_acquire({.timeout = 1s, .wait_for_ready = true},
                             [&](error_code, lease got) { mine = std::move(got); });
  world.run_until(1s);
  REQUIRE(mine);
  auto const& drained = world.drain(2s);
  world.run_until(3001ms);
  CHECK(mine.revoked());
  CHECK_FALSE(drained);
  world.run_until(4001ms);
  REQUIRE(drained);
  CHECK(*drained == errc::timed_out);
  mine.release(status_code::cancelled);
}

TEST_CASE("drain: of an idle, a fresh and a failing pool it ends at once", "[sim][drain]") {
  auto const what = GENERATE(0, 1, 2, 3);
  world world{{.pool = {.target = "a:1,b:1", .min_slots = 4, .max_slots = 8}}};
  if (what == 2) world.net()["a:1"].down();
  if (what == 3) world.net()["a:1"].black_hole();
  if (what > 0) world.pool().open();
  world.run_until(10s);
  auto const& drained = world.drain(5s);
  world.run_for(1ms);
  REQUIRE(drained);
  CHECK_FALSE(*drained);
  CHECK(world.net()["a"].dials_in_flight() == 0);
  CHECK(world.net().live_channels() == 0);
}

TEST_CASE("drain: calls that are held or back off when it starts do not hold it up", "[sim][drain]") {
  everywhere all;
  auto const& drained = all.world_.drain(3s);
  all.world_.run_until(4001ms);
  REQUIRE(drained);
  CHECK(*drained == errc::timed_out);
  // the one in flight was cut off; the others learn it then, or when they ask for a slot
  CHECK(all.in_flight->done());
  CHECK(all.queued->done());
  CHECK(all.not_begun->done());
  all.let_go();
}

TEST_CASE("drain: twice is one drain, and later ones complete too", "[sim][drain]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.after = 1s});
  world.call();
  world.run_until(100ms);
  auto const& first = world.drain(5s);
  auto const& second = world.drain(5s);
  world.run_until(2s);
  REQUIRE(first);
  REQUIRE(second);
  CHECK_FALSE(*first);
  CHECK_FALSE(*second);
  auto const& third = world.drain(5s);
  world.run_for(1ms);
  CHECK(third);
}

TEST_CASE("drain: a slot that redials after a GOAWAY still lets its calls finish", "[sim][drain]") {
  world world{{.pool = {.target = "a:1", .min_slots = 1, .max_slots = 1}}};
  server& a = world.net()["a:1"];
  a.call_takes(1s);
  auto& call = world.call();
  world.run_until(100ms);
  a.black_hole().go_away();
  world.run_until(200ms);
  auto const& drained = world.drain(5s);
  world.run_until(2s);
  CHECK(call.ok());
  REQUIRE(drained);
  CHECK_FALSE(*drained);
}

TEST_CASE("drain: cancelling the wait does not undo it", "[sim][drain]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a:1"].answer_with({.after = 3s});
  world.call();
  world.run_until(100ms);
  boost::asio::cancellation_signal signal;
  error_code result;
  world.pool().async_drain(10s, boost::asio::bind_cancellation_slot(signal.slot(), [&](error_code e) { result = e; }));
  world.at(1s, [&] { signal.emit(cancellation_type::terminal); });
  world.run_until(2s);
  CHECK(result == errc::cancelled);
  CHECK(world.pool().snapshot().draining);
  world.run_until(4s);
  CHECK(count_ok(world) == 1);
}

TEST_CASE("end: a pool destroyed under calls ends each of them once, in the loop's next turn", "[sim][end]") {
  everywhere all;
  all.world_.destroy_pool();
  CHECK_FALSE(all.in_flight->done());
  all.world_.run_until(1001ms);
  all.check_all_over(1s);
}

TEST_CASE("end: a pool destroyed by a handler or a timer of its own loop ends its calls too", "[sim][end]") {
  everywhere all;
  all.world_.at(1500ms, [&] { all.world_.destroy_pool(); });
  all.world_.run_until(2s);
  CHECK(all.in_flight->done());
  all.let_go();
}

TEST_CASE("end: a loop stopped under calls ends each of them once", "[sim][end]") {
  auto const from_inside = GENERATE(false, true);
  everywhere all;
  if (from_inside) {
    all.world_.at(1s, [&] { all.world_.stop(); });
    all.world_.run_until(1001ms);
  } else {
    stop_report const report = all.world_.stop();
    CHECK(report.finished);
  }
  all.check_all_over(1s);
}

TEST_CASE("end: a client outlives its pool, and its calls fail", "[sim][end]") {
  world world{{.pool = {.target = "a:1"}}};
  auto& before = world.call();
  world.run_calls();
  CHECK(before.ok());
  world.destroy_pool();
  auto& after = world.call();
  world.run_calls();
  CHECK(after.code() == status_code::unavailable);
  CHECK(after.text() == "the pool is draining or closed");
}

TEST_CASE("end: calls made on a stopped loop end when it runs again", "[sim][end]") {
  world world{{.pool = {.target = "a:1"}}};
  world.call();
  world.run_calls();
  world.stop();
  auto& late = world.call();
  world.run_for(1s);
  REQUIRE(late.done());
  CHECK(late.code() == status_code::unavailable);
}

TEST_CASE("end: handlers that have not run when the loop is destroyed are destroyed, not called", "[sim][end]") {
  auto token = std::make_shared<int>();
  bool called = false;
  {
    std::optional<net> servers;  // what the loop abandons needs it
    loop on(std::make_unique<sim::port>());
    // the first is still out when its deadline passes, and nobody runs timers any longer
    servers.emplace(on, 1).add("a:1").answer_with({.after = duration::max(), .stuck = 1s});
    auto slots =
        std::make_unique<pool>(on, pool_params{.target = "a:1"}, std::make_unique<sim::channel_factory>(*servers));
    client calls(*slots, *servers);
    calls.async_call(world::called(), "hello", {.timeout = 1500ms}, [&, token](call_result) { called = true; });
    on.run_until(on.now() + 1s);
    calls.async_call(world::called(), "hello", {}, [&, token](call_result) { called = true; });
    slots.reset();
    CHECK(token.use_count() == 3);
  }
  CHECK(token.use_count() == 1);
  CHECK_FALSE(called);
}

TEST_CASE("end: no hook runs in the loop's destructor, for a call that an interceptor lets go of too late",
          "[sim][end]") {
  struct counter final : interceptor {
    hook_set hooks() const noexcept override { return {hook::start}; }
    hook_result on_start(call_context&) override {
      ++calls;
      return proceed;
    }
    int calls = 0;
  };
  auto const holds = std::make_shared<holder>(hook::start);
  auto const counts = std::make_shared<counter>();
  {
    chain hooks;
    hooks.add(holds);
    hooks.add(counts);
    std::optional<net> servers;
    loop on(std::make_unique<sim::port>());
    servers.emplace(on, 1).add("a:1");
    auto slots =
        std::make_unique<pool>(on, pool_params{.target = "a:1"}, std::make_unique<sim::channel_factory>(*servers));
    {
      client calls(*slots, *servers, {.interceptors = hooks});
      calls.async_call(world::called(), "hello", {}, [](call_result) {});
      on.run_until(on.now() + 1s);
    }
    REQUIRE(holds->held.size() == 1);
    slots.reset();
    holds->held[0].proceed();
    holds->held.clear();
  }
  CHECK(counts->calls == 0);
}

TEST_CASE("end: a pool destroyed with everything in the middle of something leaves nothing behind", "[sim][end]") {
  auto const ms = GENERATE(range(0, 60, 3));
  world world{{.pool = {.target = "a:1,b:1,c:1", .min_slots = 6, .max_calls_per_slot = 2}}};
  world.net()["a:1"].dial_takes(7ms).call_takes(11ms);
  world.net()["b:1"].accept_then_drop(5ms);
  world.net()["c:1"].down();
  make_calls(world, 0s, 50ms, 1ms, {.wait_for_ready = true});
  world.at(ms * 1ms, [&] { world.destroy_pool(); });
  world.run_until(100ms);
  CHECK(world.watched().open_calls() == 0);
}

TEST_CASE("end: a stopped loop does not wait for what interceptors hold", "[sim][end]") {
  auto const where = GENERATE(hook::start, hook::send_message, hook::done);
  auto holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  auto& before = world.call("hello", {.timeout = 60s});
  world.run_until(1s);
  world.stop();
  auto& after = world.call("hello", {.timeout = 60s});
  world.run_for(1s);
  REQUIRE(before.done());
  CHECK(before.took() == 1s);
  REQUIRE(after.done());
  CHECK(after.took() == 0s);
  holds->held.clear();
}

TEST_CASE("end: a loop that stops after its pool has gone ends the calls that interceptors hold", "[sim][end]") {
  auto holds = std::make_shared<holder>(hook::done);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  world.net()["a:1"].answer_with({.after = duration::max()});
  auto& call = world.call("hello", {.timeout = 60s});
  world.run_until(1s);
  world.destroy_pool();
  world.run_until(2s);
  REQUIRE(holds->held.size() == 1);
  CHECK_FALSE(call.done());
  world.stop();
  REQUIRE(call.done());
  CHECK(call.code() == status_code::unavailable);
  holds->held.clear();
}

TEST_CASE("end: a refusal on its way when the pool goes asks nothing of it any more", "[sim][end]") {
  struct destroyer final : observer {
    world* in = nullptr;
    using observer::on;
    void on(events::pick_failed const&) noexcept override {
      boost::asio::post(in->loop(), [this] {
        if (in->has_pool()) in->destroy_pool();
      });
    }
  };
  destroyer last;
  world world{{.pool = {.target = "a:1", .observer = &last}}};
  last.in = &world;
  world.net()["a:1"].down();
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::unavailable);
  CHECK_FALSE(world.has_pool());
}

TEST_CASE("end: a thousand attempts that fail as the pool goes ask nothing of it any more", "[sim][end]") {
  world world{{.pool = {.target = "a:1", .max_calls_per_slot = 1000}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable, .after = 1s});
  for (int i = 0; i < 1000; ++i) world.call();
  world.at(1001ms, [&] { world.destroy_pool(); });
  world.run_until(3s);
  CHECK(world.watched().open_calls() == 0);
}
