// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>

#include <support/catch.hpp>

#include <boost/asio/post.hpp>

#include <deque>
#include <functional>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

/// Time passes when a test says so, and what was started is back in the same turn.
class still_port final : public port {
 public:
  time_point now() noexcept override { return now_; }
  void wait(time_point, std::size_t, sink deliver) override {
    while (!out_.empty()) {
      auto* const op = static_cast<operation*>(out_.front());
      out_.pop_front();
      deliver(*op, completion::ok);
    }
  }
  void wake() noexcept override {}

  void pass(duration time) { now_ += time; }
  void start(void* tag) { out_.push_back(tag); }

 private:
  time_point now_{1h};
  std::deque<void*> out_;
};

struct told final : turn_end_listener {
  void on_turn_end() noexcept override { ++times; }
  void on_long_phase() noexcept override { ++long_phases; }
  int times = 0;
  int long_phases = 0;
};

/// An event that does something.
struct event {
  void on_back(completion) { work(); }
  std::function<void()> work;
  tag<&event::on_back> op{*this};
};

struct fixture {
  void run(bool as_events, std::vector<std::function<void()>> steps) {
    std::deque<event> events;
    for (auto& step : steps) {
      if (as_events) {
        event& one = events.emplace_back();
        one.work = step;
        loop.start(one.op, op_kind::user, "event", [&](void* tag) { time->start(tag); });
      } else {
        asio::post(loop, step);
      }
    }
    loop.run();
  }

  still_port* time = new still_port;
  millrace::loop loop{std::unique_ptr<port>(time)};
  told end;
};

}  // namespace

TEST_CASE("turn end: told once, after all handlers or all events", "[loop]") {
  fixture with;
  bool const as_events = GENERATE(false, true);
  with.run(as_events, {[&] { CHECK(with.loop.at_turn_end(with.end)); }, [&] { CHECK(with.loop.at_turn_end(with.end)); },
                       [&] { CHECK(with.end.times == 0); }});
  CHECK(with.end.times == 1);
  CHECK(with.end.long_phases == 0);
  CHECK_FALSE(with.loop.at_turn_end(with.end));
}

TEST_CASE("turn end: who waits for it is told between two handlers that it takes long", "[loop]") {
  fixture with;
  bool const as_events = GENERATE(false, true);
  with.run(as_events, {[&] {
                         with.time->pass(1h);  // before somebody waits it does not count
                         with.loop.at_turn_end(with.end);
                         with.time->pass(1ms - 1ns);
                       },
                       [&] {
                         CHECK(with.end.long_phases == 0);
                         with.time->pass(1ns);
                         with.loop.at_turn_end(with.end);
                       },
                       [&] { CHECK(with.end.long_phases == 1); },
                       [&] {
                         CHECK(with.end.long_phases == 1);
                         with.time->pass(1h);
                       },
                       [&] { CHECK(with.end.long_phases == 2); }});
  CHECK(with.end.long_phases == 2);
  CHECK(with.end.times == 1);
}
