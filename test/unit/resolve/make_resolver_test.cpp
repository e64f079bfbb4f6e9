// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/make_resolver.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/sim/port.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>

using namespace millrace;
using namespace std::chrono_literals;

TEST_CASE("make_resolver: a list is told at once", "[resolve]") {
  loop loop(std::make_unique<sim::port>());
  test::endpoint_log log;
  auto const resolver = make_resolver("static:a:1,b:1")(loop);
  resolver->start(log);
  resolver->refresh();
  CHECK(log.sets.size() == 1);
  CHECK(log.last() == "a:1 b:1");
}

TEST_CASE("make_resolver: one factory makes resolvers for many loops", "[resolve]") {
  resolver_factory const make = make_resolver("ipv4:1.2.3.4:5");
  for (int n = 0; n < 2; ++n) {
    loop loop(std::make_unique<sim::port>());
    test::endpoint_log log;
    make(loop)->start(log);
    CHECK(log.last() == "1.2.3.4:5");
  }
}

TEST_CASE("make_resolver: targets and parameters are checked at once, and each bad one is named", "[resolve]") {
  CHECK_THROWS_WITH(make_resolver("a"), Catch::StartsWith("target: endpoint \"a\" is not host:port"));
  CHECK_THROWS_WITH(make_resolver("a", {}, "--to"), Catch::StartsWith("--to: endpoint \"a\""));
  struct row {
    resolver_params params;
    char const* says;
  };
  for (auto const& [params, says] : {
           row{{.dns = {.refresh_interval = 0s}},
               "resolver_params.dns.refresh_interval is 0ms; allowed: more than 0ms"},
           row{{.dns = {.jitter = 1.5}}, "resolver_params.dns.jitter is 1.5; allowed: 0 to 1"},
           row{{.dns = {.evidence = {.multiplier = 0.5}}}, "resolver_params.dns.evidence.multiplier is 0.5; allowed"},
           row{{.dns = {.backoff = {.initial = 0s}}}, "resolver_params.dns.backoff.initial is 0ms; allowed"},
           row{{.file = {.settle_interval = 0s}},
               "resolver_params.file.settle_interval is 0ms; allowed: more than 0ms"},
           row{{.file = {.poll_interval = -1s}},
               "resolver_params.file.poll_interval is -1000ms; allowed: more than 0ms"},
       }) {
    CHECK_THROWS_WITH(make_resolver("a:1", params), Catch::StartsWith(says));
  }
}
