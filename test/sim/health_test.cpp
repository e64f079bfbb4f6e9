// SPDX-License-Identifier: Apache-2.0
// Stories about asking a server for its health, without a pool.
#include <millrace/pool/health_check.hpp>
#include <millrace/sim/channel_factory.hpp>

#include "support.hpp"

using namespace millrace;
using namespace millrace::sim;
using health::server_health;
using health::watch_state;

namespace {

struct said {
  duration at;
  server_health health;
  std::string why;
};

/// One endpoint, a channel to it and a health_check.
struct story {
  explicit story(health::watch_params with = {}) : params(std::move(with)) {
    a.health(health_answer::serving).health_takes(10ms);
  }
  ~story() {
    check.stop();
    if (channel != nullptr) millrace::channel::drop_user(channel);
    run_for(1s);
    CHECK(loop.outstanding() == 0);
    CHECK(net.live_channels() == 0);
    CHECK(a.health_watches() == 0);
  }

  millrace::channel* connected() {
    auto* const one = factory.open({.address = "a:1"}, {});
    one->connect();
    run_for(1ms);
    REQUIRE(one->state() == connectivity::ready);
    return one;
  }
  void connect_and_start() {
    channel = connected();
    begun = loop.now();
    check.start(*channel);
  }
  void run_for(duration time) { run_to(loop.now() + time); }
  /// Since the check began.
  void run_until(duration time) { run_to(begun + time); }
  void run_to(time_point until) {
    loop.work_started();
    while (loop.now() < until && !loop.stopping()) loop.run_until(until);
    loop.work_finished();
  }
  void on_said(server_health now_is, std::string_view why) {
    heard.push_back({loop.now() - begun, now_is, std::string(why)});
  }
  std::string words() const {
    std::string all;
    for (said const& one : heard) all.append(all.empty() ? "" : " ").append(to_string(one.health));
    return all;
  }

  health::watch_params params;
  std::vector<said> heard;
  time_point begun{};
  millrace::loop loop{std::make_unique<sim::port>()};
  sim::net net{loop, 1};
  sim::server& a = net.add("a:1");
  sim::channel_factory factory{net};
  millrace::channel* channel = nullptr;
  retry::budget budget;
  health_check check{loop, params, budget, health_check::listener::to<&story::on_said>(*this)};
};

}  // namespace

TEST_CASE("story: an endpoint is pending until it says that it serves", "[sim][health]") {
  story one{{.service = "echo.Echo"}};
  one.connect_and_start();
  one.run_until(9ms);
  CHECK(one.words() == "pending");
  one.run_until(11ms);
  CHECK(one.words() == "pending serving");
  CHECK(one.heard[1].at == 10ms);
  CHECK(one.a.last_health_question().service == "echo.Echo");
  CHECK(one.a.last_health_question().watch);
}

TEST_CASE("story: every question is charged to the budget, and none refused although it is empty", "[sim][health]") {
  story one{{.use_check = true, .check_interval = 1s}};
  one.a.health(health_answer::serving);
  one.connect_and_start();
  one.run_until(1h);
  CHECK(one.budget.charged() == one.a.health_questions());
  CHECK(one.budget.charged() > 3000);
}

TEST_CASE("story: every change is heard after its latency, and nothing else for a week", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1s);
  one.a.health(health_answer::not_serving);
  one.run_until(2s);
  one.a.health(health_answer::service_unknown);
  one.run_until(3s);
  one.a.health(health_answer::serving);
  one.run_until(168h);
  CHECK(one.words() == "pending serving not_serving service_unknown serving");
  CHECK(one.heard[2].at == 1010ms);
  CHECK(one.heard[2].why == "the server says NOT_SERVING");
  CHECK(one.a.health_questions() == 1);
}

TEST_CASE("story: two changes in one flight arrive in order", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1s);
  one.a.health(health_answer::not_serving).health(health_answer::serving);
  one.run_until(2s);
  CHECK(one.words() == "pending serving not_serving serving");
  one.a.health_takes(100ms).health(health_answer::not_serving).health_takes(0ms).health(health_answer::serving);
  one.run_until(3s);
  CHECK(one.words() == "pending serving not_serving serving not_serving serving");
}

TEST_CASE("story: a server without a health service is healthy until the next connection, and said to be so once",
          "[sim][health]") {
  story one;
  one.a.health(health_answer::unimplemented);
  one.connect_and_start();
  one.run_until(100h);
  CHECK(one.words() == "pending unsupported");
  CHECK(one.heard[1].why == "the server has no health service: UNIMPLEMENTED");
  CHECK(one.a.health_questions() == 1);
  one.check.stop();
  one.a.health(health_answer::not_serving);
  one.check.start(*one.channel);
  one.run_for(1s);
  CHECK(one.words() == "pending unsupported pending not_serving");
}

TEST_CASE("story: a Watch that nobody answers becomes a Check every ten seconds", "[sim][health]") {
  story one;
  one.a.health(health_answer::silent);
  one.connect_and_start();
  one.run_until(4s);
  CHECK(one.a.health_watches() == 1);
  one.run_until(5500ms);
  CHECK(one.check.state() == watch_state::checking);
  CHECK(one.a.health_watches() == 0);
  CHECK_FALSE(one.a.last_health_question().watch);
  one.run_until(6001ms);
  CHECK(one.words() == "pending failing");
  CHECK(one.heard[1].at == 6s);
  CHECK(one.heard[1].why == "the health check timed out: DEADLINE_EXCEEDED");
  one.a.health(health_answer::serving);
  one.run_until(10s);
  CHECK(one.words() == "pending failing serving");
  one.a.health(health_answer::service_unknown);
  one.run_until(22s);
  CHECK(one.words() == "pending failing serving service_unknown");
  auto const before = one.a.health_questions();
  one.run_for(1000s);
  CHECK(one.a.health_questions() - before >= 90);
  CHECK(one.a.health_questions() - before <= 112);
}

TEST_CASE("story: a Watch that the server ends is opened again, at once when it has lasted", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1h);
  one.a.end_health_watches(status_code::unavailable, "restarting");
  one.run_for(1s);
  CHECK(one.words() == "pending serving failing serving");
  CHECK(one.heard[2].at == 1h + 10ms);
  CHECK(one.heard[2].why == "the health watch ended: UNAVAILABLE (restarting)");
  CHECK(one.heard[3].at == 1h + 20ms);
}

TEST_CASE("story: when the connection is lost it is not the server's health that changed", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1s);
  one.a.drop();
  one.run_for(10ms);
  CHECK(one.words() == "pending serving");
  CHECK(one.check.state() == watch_state::backing_off);
  // nor is it the health check's business to dial
  one.run_for(500ms);
  CHECK(one.a.connections_made() == 1);
}

TEST_CASE("story: when a slot goes, another one takes over, and what is known stays", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1s);
  auto* const other = one.connected();
  one.check.start(*other);
  CHECK(one.check.asks() == other);
  millrace::channel::drop_user(std::exchange(one.channel, other));
  one.run_for(1s);
  CHECK(one.words() == "pending serving");
  CHECK(one.a.health_questions() == 2);
  CHECK(one.a.health_watches() == 1);
  CHECK(one.a.connections() == 1);
  one.a.health(health_answer::not_serving);
  one.run_for(1s);
  CHECK(one.words() == "pending serving not_serving");
}

TEST_CASE("story: a check that is stopped hears nothing, whatever is on its way", "[sim][health]") {
  auto const answer =
      GENERATE(health_answer::serving, health_answer::not_serving, health_answer::unimplemented, health_answer::silent);
  auto const use_check = GENERATE(false, true);
  for (duration at = 0ms; at <= 30ms; at += 1ms) {
    story one{{.use_check = use_check}};
    one.a.health(answer);
    one.connect_and_start();
    one.run_until(at);
    one.check.stop();
    std::size_t const before = one.heard.size();
    one.a.health(health_answer::serving);
    one.run_for(1min);
    CHECK(one.heard.size() == before);
    CHECK(one.loop.outstanding() == 0);
  }
}

TEST_CASE("story: a loop that stops takes the question back", "[sim][health]") {
  story one;
  one.connect_and_start();
  one.run_until(1s);
  CHECK(one.loop.outstanding() == 1);
  CHECK(one.loop.stop(1s).finished);
  CHECK(one.check.state() == watch_state::stopped);
  // and one that is asked afterwards is refused, which is heard by nobody
  one.check.start(*one.channel);
  CHECK(one.loop.stop(1s).finished);
}

TEST_CASE("story: a channel that cannot be asked is taken for a server without health service", "[sim][health]") {
  class dumb final : public millrace::channel {
   public:
    using millrace::channel::channel;
    connectivity state() override { return connectivity::ready; }
    void connect() override {}
    void watch(tracked_operation&, std::string_view, connectivity, time_point) override {}
    void explain(bound<void(std::string_view)>) override {}
    void forget_explain() noexcept override {}
  };
  story one;
  one.channel = new dumb("a:1");
  one.check.start(*one.channel);
  CHECK(one.words() == "pending unsupported");
}
