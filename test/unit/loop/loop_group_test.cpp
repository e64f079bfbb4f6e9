// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop_group.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/loop/tag.hpp>

#include <support/catch.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <pthread.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

std::string name_of_this_thread() {
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

/// An alarm that does not come back for an hour.
struct endless {
  endless(millrace::loop& on, std::string_view name) {
    on.start(op, op_kind::user, name,
             [&](void* tag) { alarm.Set(&completion_queue(on), std::chrono::system_clock::now() + 1h, tag); });
  }
  void on_back(completion) {}

  grpc::Alarm alarm;
  tag<&endless::on_back> op{*this};
};

}  // namespace

TEST_CASE("loop_group: as many loops as asked for, or one a hardware thread", "[loop][group]") {
  loop_group two{{.size = 2}};
  CHECK(two.size() == 2);
  CHECK(&two[0] != &two[1]);
  CHECK(&two.at(1) == &two[1]);
  CHECK_THROWS_AS(two.at(2), std::out_of_range);
  std::vector<millrace::loop*> seen;
  for (millrace::loop& one : two) seen.push_back(&one);
  CHECK(seen == std::vector{&two[0], &two[1]});
  CHECK(loop_group{}.size() == std::max(1u, std::thread::hardware_concurrency()));
}

TEST_CASE("loop_group: parameters that are not allowed are named", "[loop][group]") {
  CHECK_THROWS_WITH(loop_group({.size = 1025}), "loop_group_params.size: 1025 is not allowed; it must be at most 1024");
  CHECK_THROWS_WITH(loop_group({.size = 1, .thread_name = "twelve bytes"}),
                    "loop_group_params.thread_name: \"twelve bytes\" is not allowed; it must be at most 11 bytes");
  CHECK_THROWS_WITH(loop_group({.size = 1, .stop_grace = -1ns}),
                    "loop_group_params.stop_grace: -1 ns is not allowed; it must be 0 or more");
}

TEST_CASE("loop_group: next goes round", "[loop][group]") {
  loop_group group{{.size = 3}};
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 3; ++i) CHECK(&group.next() == &group[i]);
  }
}

TEST_CASE("loop_group: next gives every thread that asks its share", "[loop][group]") {
  loop_group group{{.size = 3}};
  std::atomic<int> second = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) second += &group.next() == &group[1];
    });
  }
  for (auto& one : threads) one.join();
  CHECK(second == 400);
}

TEST_CASE("loop_group: each loop runs on a thread of its own, which has its name and number", "[loop][group]") {
  loop_group group{{.size = 3, .thread_name = "worker "}};
  group.start();
  std::set<std::thread::id> threads;
  for (std::size_t i = 0; i < group.size(); ++i) {
    asio::post(group[i], asio::use_future([&] {
                 threads.insert(std::this_thread::get_id());
                 CHECK(name_of_this_thread() == "worker " + std::to_string(i));
                 CHECK(group[i].running_in_this_thread());
               }))
        .get();
  }
  CHECK(threads.size() == 3);
  CHECK(threads.count(std::this_thread::get_id()) == 0);
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: idle loops stay up until stop, which ends what waits on each", "[loop][group]") {
  loop_group group{{.size = 2}};
  std::vector<std::unique_ptr<millrace::steady_timer>> timers;
  std::atomic<int> aborted = 0;
  for (millrace::loop& one : group) {
    timers.push_back(std::make_unique<millrace::steady_timer>(one, 1h));
    timers.back()->async_wait([&](boost::system::error_code e) { aborted += e == asio::error::operation_aborted; });
  }
  group.start();
  for (int round = 0; round < 2; ++round) {
    for (millrace::loop& one : group) asio::post(one, asio::use_future([] {})).get();
  }
  stop_report const report = group.stop();
  CHECK(to_string(report) == "stopped: nothing outstanding");
  CHECK(aborted == 2);
  group.join();
}

TEST_CASE("loop_group: an interrupted loop goes on", "[loop][group]") {
  loop_group group{{.size = 1}};
  group.start();
  group[0].interrupt();
  asio::post(group[0], asio::use_future([&] { group[0].interrupt(); })).get();
  CHECK(asio::post(group[0], asio::use_future([] { return 42; })).get() == 42);
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: run returns once a handler of any loop has stopped the group", "[loop][group]") {
  loop_group group{{.size = 2}};
  asio::post(group[1], [&] { group.stop(); });
  group.run();
  CHECK(group[0].stopping());
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: the first exception of a handler stops all loops and leaves through join, once",
          "[loop][group]") {
  loop_group group{{.size = 2}};
  bool rest_ran = false;
  asio::post(group[1], [] { throw std::runtime_error("from a handler"); });
  asio::post(group[1], [&] { rest_ran = true; });
  group.start();
  CHECK_THROWS_WITH(group.join(), "from a handler");
  CHECK(rest_ran);
  CHECK(group[0].stopping());
  CHECK_NOTHROW(group.join());
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: several exceptions end the group with one of them", "[loop][group]") {
  loop_group group{{.size = 4}};
  for (millrace::loop& one : group) {
    for (int i = 0; i < 3; ++i) asio::post(one, [] { throw std::runtime_error("one of many"); });
  }
  CHECK_THROWS_WITH(group.run(), "one of many");
  CHECK_NOTHROW(group.join());
}

TEST_CASE("loop_group: stop returns at its deadline and names what is out on every loop, oldest first",
          "[loop][group]") {
  loop_group group{{.size = 2}};
  endless older(group[1], "older");
  endless younger(group[0], "younger");
  group.start();
  stop_report const report = group.stop(20ms);
  CHECK_FALSE(report.finished);
  REQUIRE(report.outstanding.size() == 2);
  CHECK(report.outstanding[0].owner == "older");
  CHECK(report.outstanding[1].owner == "younger");
  older.alarm.Cancel();
  younger.alarm.Cancel();
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: stop does not wait for a handler that does not return, and says so", "[loop][group]") {
  loop_group group{{.size = 2}};
  std::promise<void> inside, release;
  asio::post(group[0], [&] {
    inside.set_value();
    release.get_future().wait();
  });
  group.start();
  inside.get_future().wait();
  stop_report const report = group.stop(20ms);
  CHECK(to_string(report).find("busy in a handler") != std::string::npos);
  release.set_value();
  group.join();
  CHECK(group.stop().finished);
}

TEST_CASE("loop_group: its end leaves behind a thread that does not leave its handler", "[loop][group]") {
  // never freed, and never lost sight of: the thread waits on it until the process ends
  static auto& never = *new std::promise<void>;
  std::promise<void> inside;
  {
    loop_group group{{.size = 2, .stop_grace = 10ms}};
    asio::post(group[1], [&inside, future = never.get_future()] {
      inside.set_value();
      future.wait();
    });
    group.start();
    inside.get_future().wait();
  }
  SUCCEED("the destructor returned");
}

TEST_CASE("loop_group: its end stops what runs, and destroys what never ran", "[loop][group]") {
  auto const token = std::make_shared<int>(0);
  {
    loop_group started{{.size = 2}};
    started.start();
    asio::post(started[0], [token] {});
    loop_group never_started{{.size = 2}};
    asio::post(never_started[1], [token] { FAIL("called from a destructor"); });
    never_started.join();
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("loop_group: what cannot be is refused", "[loop][group]") {
  loop_group group{{.size = 1}};
  group.start();
  CHECK_THROWS_AS(group.start(), std::logic_error);
  asio::post(group[0], asio::use_future([&] { CHECK_THROWS_AS(group.join(), std::logic_error); })).get();
  CHECK(group.stop().finished);
  loop_group stopped{{.size = 1}};
  CHECK(stopped.stop().finished);
  CHECK_THROWS_AS(stopped.start(), std::logic_error);
}

TEST_CASE("loop_group: stopped by several threads at once", "[loop][group]") {
  loop_group group{{.size = 2}};
  group.start();
  std::vector<std::thread> threads;
  std::atomic<int> finished = 0;
  for (int t = 0; t < 3; ++t) threads.emplace_back([&] { finished += group.stop().finished; });
  for (auto& one : threads) one.join();
  CHECK(finished == 3);
}
