// SPDX-License-Identifier: Apache-2.0
// Backends that are killed with SIGKILL and come back, each a process of its own.
#include <support/call_once.hpp>
#include <support/process.hpp>
#include <support/steady_load.hpp>
#include <support/wait.hpp>

#include <millrace/metrics/counters.hpp>

#include <array>
#include <map>
#include <string>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;

TEST_CASE("restart: one of two backends is killed under load and returns, and no call fails", "[live][restart]") {
  std::array<echo_process, 2> backends;
  counters seen;
  millrace::loop loop;
  millrace::pool pool{loop,
                      {.target = backends[0].address() + "," + backends[1].address(),
                       .slot = {.backoff = {.initial = 20ms, .max = 200ms}},
                       .observer = &seen}};
  steady_load calls(pool, 64);
  auto const victim = [&]() -> counters::endpoint_counts const& { return seen.endpoint(backends[0].address()); };
  run_until(loop, "both backends to answer",
            [&] { return victim().ok() > 200 && seen.endpoint(backends[1].address()).ok() > 200; });

  backends[0].kill();
  run_until(loop, "the loss to be noticed", [&] { return victim().connections_lost == 1; });
  int const before = calls.ok();
  run_until(loop, "500 calls on the backend that is left", [&] { return calls.ok() > before + 500; });
  CHECK(pool.ready() == 1);

  backends[0].start();
  auto const picks = victim().picks;
  run_until(loop, "the backend to be back in use",
            [&] { return victim().connections_opened == 2 && victim().picks > picks + 100; });
  calls.stop();
  run_until(loop, "the calls in flight to end", [&] { return calls.in_flight() == 0; });
  INFO("failed: " << calls.told());
  CHECK(calls.failures().empty());
  CHECK(pool.ready() == 2);
  CHECK(pool.snapshot().slots[0].connections == 2);
  CHECK(seen.total().retries + seen.total().transparent_retries > 0);
}

TEST_CASE("restart: with every backend dead, patient calls wait for the restart and others fail with the reason",
          "[live][restart]") {
  std::array<echo_process, 2> backends;
  millrace::loop loop;
  millrace::pool pool{loop,
                      {.target = backends[0].address() + "," + backends[1].address(),
                       .slot = {.backoff = {.initial = 20ms, .max = 200ms}}}};
  client<Echo> echo(pool);
  REQUIRE(call_once(loop, echo, saying("warm-up"), {.timeout = patience}).has_value());
  backends[0].kill();
  backends[1].kill();
  run_until(loop, "both losses to be noticed", [&] { return pool.ready() == 0; });

  int patient = 0;
  std::map<std::string, int> impatient;
  std::map<int, int> codes;
  for (int call = 0; call < 8; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(
        saying("patient"), {.timeout = patience, .wait_for_ready = true},
        [&](rpc_result<EchoReply> reply) { patient += reply && reply->text() == "patient"; });
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("impatient"), {.timeout = patience},
                                                  [&](rpc_result<EchoReply> reply) {
                                                    REQUIRE(reply.has_error());
                                                    ++codes[reply.error().error_code()];
                                                    ++impatient[reply.error().error_message()];
                                                  });
  }
  run_until(loop, "the impatient calls to fail", [&] { return codes[grpc::StatusCode::UNAVAILABLE] == 8; });
  CHECK(patient == 0);
  for (auto const& [message, count] : impatient) {
    CHECK_THAT(message, Catch::Contains(backends[0].address()));
    CHECK_THAT(message, Catch::Contains(backends[1].address()));
    CHECK_THAT(message, Catch::Contains("refused"));
  }
  backends[1].start();
  run_until(loop, "the patient calls to be answered after the restart", [&] { return patient == 8; });
}
