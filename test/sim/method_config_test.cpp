// SPDX-License-Identifier: Apache-2.0
// Stories about settings of methods, as a service config makes them.
#include "support.hpp"

#include <millrace/call/method_config.hpp>

using namespace millrace;
using namespace millrace::sim;

namespace {

// what the simulated calls' method is set to
client_params with(method_config config) {
  auto methods = std::make_shared<method_table>();
  methods->add("", "", std::move(config));
  return {.methods = std::move(methods)};
}

}  // namespace

TEST_CASE("method_table: the most specific entry is found", "[call]") {
  method_table methods;
  CHECK(methods.find("/a.S/M") == nullptr);
  CHECK(methods.add("a.S", "M", {.timeout = 1s}));
  CHECK(methods.add("a.S", "", {.timeout = 2s}));
  CHECK_FALSE(methods.add("a.S", "", {}));
  CHECK(methods.find("/a.S/M")->timeout == 1s);
  CHECK(methods.find("/a.S/N")->timeout == 2s);
  CHECK(methods.find("/a.SS/M") == nullptr);
  CHECK(methods.add("", "", {.timeout = 3s}));
  CHECK(methods.find("/a.SS/M")->timeout == 3s);
}

TEST_CASE("story: a method's timeout bounds its calls, and is the default of those without one", "[sim][call]") {
  world world{{.pool = {.target = "a:1"}, .client = with({.timeout = 200ms})}};
  world.net()["a:1"].answer_with({.after = 10s});
  auto& without = world.call("hello", {});
  auto& shorter = world.call("hello", {.timeout = 50ms});
  auto& longer = world.call("hello", {.timeout = 5s});
  world.run_calls();
  CHECK(without.info.elapsed == 200ms);
  CHECK(shorter.info.elapsed == 50ms);
  CHECK(longer.info.elapsed == 200ms);
  CHECK(longer.info.origin == call_end::deadline);
}

TEST_CASE("trap T23: a method's calls wait for a connection, unless they say otherwise", "[sim][call][T23]") {
  world world{{.pool = {.target = "a:1"}, .client = with({.wait_for_ready = true})}};
  world.net()["a:1"].down();
  world.pool().open();
  world.run_until(50ms);
  auto& patient = world.call("hello", {.timeout = 2s});
  auto& hasty = world.call("hello", {.timeout = 2s, .wait_for_ready = false});
  world.run_calls();
  CHECK(patient.code() == status_code::deadline_exceeded);
  CHECK(hasty.code() == status_code::unavailable);
}

TEST_CASE("story: a method has its own retries", "[sim][call]") {
  world world{{.pool = {.target = "a:1"},
               .client = with({.retry = retry::retry_policy{.max_attempts = 5, .retryable = {status_code::aborted}}})}};
  world.net()["a:1"].answer_with({.code = status_code::aborted});
  auto& call = world.call();
  world.run_calls();
  CHECK(call.code() == status_code::aborted);
  CHECK(call.info.attempts == 5);
}

TEST_CASE("story: a method's messages have their own limits", "[sim][call]") {
  world world{{.pool = {.target = "a:1"}, .client = with({.max_request_bytes = 5, .max_response_bytes = 3})}};
  world.net()["a:1"].answer_next({.body = "1234"}).answer_next({.body = "123"});
  auto& too_much = world.call("hello");
  world.run_calls();
  CHECK(too_much.code() == status_code::resource_exhausted);
  CHECK(too_much.text() == "Received message larger than max (4 vs. 3)");
  auto& fine = world.call("hello");
  world.run_calls();
  CHECK(fine.ok());
  auto& larger = world.call("hello!");
  world.run_calls();
  CHECK(larger.code() == status_code::resource_exhausted);
  CHECK(larger.text() == "Sent message larger than max (6 vs. 5)");
  CHECK(larger.info.attempts == 0);
}

TEST_CASE("story: a server that fails half of the time gets no retries", "[sim][retry]") {
  world world{{.pool = {.target = "a:1", .budget = {.min_per_second = 1000}},
               .client = {.retry = {.max_attempts = 2}, .retry_throttling = retry::throttle_params{10, 0.1}}}};
  world.net()["a:1"].answer_with({.code = status_code::unavailable});
  std::uint32_t attempts = 0;
  for (int i = 0; i < 20; ++i) {
    auto& call = world.call();
    world.run_calls();
    attempts += call.info.attempts;
  }
  // four failures of ten tokens are borne, the fifth leaves half of them
  CHECK(attempts == 22);

  // a success gives a tenth of a token back
  world.net()["a:1"].answer_with({});
  for (int i = 0; i < 70; ++i) {
    world.call();
    world.run_calls();
  }
  world.net()["a:1"].answer_with({.code = status_code::unavailable});
  auto& again = world.call();
  world.run_calls();
  CHECK(again.info.attempts == 2);
}

TEST_CASE("method settings: what is not allowed is refused by the method's and the field's name", "[sim][methods]") {
  auto const [settings, why] = GENERATE(table<method_config, std::string>(
      {{{.timeout = -1ns}, "timeout: -1 ns is not allowed; it must be at least 0"},
       {{.retry = retry::retry_policy{.max_attempts = 0}}, "retry.max_attempts is 0; allowed: 1 to 5"},
       {{.hedging = retry::hedging_policy{.max_attempts = 9}}, "hedging.max_attempts is 9; allowed: 2 to 5"}}));
  auto const methods = std::make_shared<method_table>();
  REQUIRE(methods->add("millrace.Sim", "Say", settings));
  CHECK_THROWS_WITH(world({.pool = {.target = "a:1"}, .client = {.methods = methods}}),
                    Catch::StartsWith("client_params.methods[\"/millrace.Sim/Say\"]." + why));
}
