// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/loop.hpp>
#include <millrace/resolve/manual_endpoints.hpp>
#include <millrace/sim/port.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>
#include <support/wait.hpp>

#include <atomic>
#include <memory>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using test::endpoint_log;

namespace {

std::unique_ptr<loop> make_loop() { return std::make_unique<loop>(std::make_unique<sim::port>()); }

endpoint_set numbered(int n) { return {{.address = "a:1", .metadata = {{"number", std::to_string(n)}}}}; }
int number_of(endpoint_set const& set) { return std::stoi(set.at(0).metadata.at(0).second); }

}  // namespace

TEST_CASE("manual endpoints: a set from before there was a pool is told at the start", "[resolve]") {
  manual_endpoints handle;
  handle.update({{.address = "a:1"}});
  handle.update({{.address = "b:1", .weight = 3}});
  auto const loop = make_loop();
  endpoint_log log;
  auto const resolver = handle.factory()(*loop);
  CHECK(log.sets.empty());
  resolver->start(log);
  CHECK(log.sets == std::vector<endpoint_set>{{{.address = "b:1", .weight = 3}}});
}

TEST_CASE("manual endpoints: nothing is told until there is something", "[resolve]") {
  manual_endpoints const handle;
  auto const loop = make_loop();
  endpoint_log log;
  auto const resolver = handle.factory()(*loop);
  resolver->start(log);
  loop->poll();
  CHECK(log.sets.empty());
  CHECK(log.failures.empty());
  handle.update({});
  loop->poll();
  CHECK(log.sets == std::vector<endpoint_set>{{}});
}

TEST_CASE("manual endpoints: never told from inside update, and of many changes only the last", "[resolve]") {
  manual_endpoints const handle(numbered(0));
  auto const loop = make_loop();
  endpoint_log log;
  auto const resolver = handle.factory()(*loop);
  resolver->start(log);
  for (int n = 1; n <= 10; ++n) handle.update(numbered(n));
  CHECK(log.sets.size() == 1);
  loop->poll();
  CHECK(log.sets.size() == 2);
  CHECK(number_of(log.sets.back()) == 10);
}

TEST_CASE("manual endpoints: a failure is told until the next update, and keeps the set", "[resolve]") {
  manual_endpoints const handle(numbered(1));
  auto const loop = make_loop();
  endpoint_log early, late, later;
  auto const first = handle.factory()(*loop);
  first->start(early);
  handle.fail("the registry is away");
  loop->poll();
  CHECK(early.failures == std::vector<std::string>{"the registry is away"});
  CHECK(early.sets.size() == 1);
  auto const second = handle.factory()(*loop);
  second->start(late);
  CHECK(late.sets.size() == 1);
  CHECK(late.failures.size() == 1);
  handle.update(numbered(2));
  auto const third = handle.factory()(*loop);
  third->start(later);
  loop->poll();
  CHECK(later.failures.empty());
  for (endpoint_log const* const one : {&early, &late, &later}) CHECK(number_of(one->sets.back()) == 2);
}

TEST_CASE("manual endpoints: a set that is not allowed is refused and changes nothing", "[resolve]") {
  manual_endpoints const handle(numbered(1));
  CHECK_THROWS_WITH(handle.update({{.address = "a:1"}, {.address = "b"}}),
                    Catch::StartsWith("manual_endpoints: endpoint \"b\" is not host:port"));
  auto const loop = make_loop();
  endpoint_log log;
  auto const resolver = handle.factory()(*loop);
  resolver->start(log);
  CHECK(number_of(log.sets.back()) == 1);
}

TEST_CASE("manual endpoints: the endpoints outlive the handle, and the handle the pools", "[resolve]") {
  resolver_factory make;
  manual_endpoints kept;
  {
    manual_endpoints const handle(numbered(7));
    make = handle.factory();
    kept = handle;
  }
  {
    auto const loop = make_loop();
    endpoint_log log;
    auto const resolver = make(*loop);
    resolver->start(log);
    CHECK(number_of(log.sets.back()) == 7);
    kept.update(numbered(8));  // on its way when all is destroyed
  }
  kept.update(numbered(9));
  auto const loop = make_loop();
  endpoint_log log;
  {
    auto const resolver = make(*loop);
    resolver->start(log);
    kept.update(numbered(10));
  }
  loop->poll();
  CHECK(log.sets.size() == 1);
}

TEST_CASE("manual endpoints: updates from another thread arrive in order, the last one always", "[resolve][thread]") {
  manual_endpoints const handle(numbered(0));
  auto const loop = make_loop();
  endpoint_log log;
  auto const resolver = handle.factory()(*loop);
  resolver->start(log);
  std::thread other([handle] {
    for (int n = 1; n <= 2000; ++n) handle.update(numbered(n));
  });
  auto const until = clock::now() + test::patience;
  while (number_of(log.sets.back()) < 2000 && clock::now() < until) loop->poll();
  other.join();
  REQUIRE(number_of(log.sets.back()) == 2000);
  for (std::size_t at = 1; at < log.sets.size(); ++at) {
    REQUIRE(number_of(log.sets[at - 1]) < number_of(log.sets[at]));
  }
}

TEST_CASE("manual endpoints: updates race with pools and loops that come and go", "[resolve][thread]") {
  manual_endpoints const handle(numbered(0));
  std::atomic<bool> over = false;
  std::thread other([&] {
    for (int n = 1; !over; ++n) handle.update(numbered(n));
  });
  for (int n = 0; n < 300; ++n) {
    auto const loop = make_loop();
    endpoint_log log;
    auto const resolver = handle.factory()(*loop);
    resolver->start(log);
    if (n % 2 == 0) loop->poll();
    CHECK_FALSE(log.sets.empty());
  }
  over = true;
  other.join();
}
