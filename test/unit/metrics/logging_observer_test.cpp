// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/logging_observer.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 100s;
constexpr char const* here = "127.0.0.1:5003";
constexpr char const* say = "/echo.Echo/Say";

using lines = std::vector<std::string>;

logging_params into(lines& out, log_verbosity verbosity) {
  return {.sink = [&out](std::string_view line) { out.emplace_back(line); }, .verbosity = verbosity, .start = start};
}

// one of each, a millisecond apart
void tell_all(observer& to) {
  time_point at = start;
  auto const tick = [&at] { return at += 1ms; };
  to.on(events::slot_changed{tick(), here, 2, slot_state::connecting, slot_state::ready, "", 1s});
  to.on(events::call_started{tick(), say});
  to.on(events::pick_failed{tick(), "no endpoint is ready", 0s});
  to.on(events::picked{tick(), here, 2, 3, 1500us});
  to.on(events::attempt_started{tick(), say, here, 2, 1});
  to.on(events::attempt_finished{tick(), say, here, 2, 1, status_code::unavailable, "reset", 250us, true});
  to.on(events::retry_scheduled{tick(), say, 2, status_code::unavailable, 25ms, false});
  to.on(events::retry_scheduled{tick(), say, 2, status_code::unavailable, 0s, true});
  to.on(events::retry_denied{tick(), say, 1, status_code::unavailable, retry_denial::budget});
  to.on(events::call_finished{tick(), say, status_code::ok, 12345us, 2});
  to.on(events::drain_started{tick(), 1, 4, 5s});
  to.on(events::drain_finished{tick(), 1200ms, 2});
}

}  // namespace

TEST_CASE("logging_observer: connections are slot changes, denied retries and drains", "[metrics]") {
  lines out;
  logging_observer log(into(out, log_verbosity::connections));
  tell_all(log);
  CHECK(out == lines{
                   "[  0.001] 127.0.0.1:5003 slot 2: connecting -> ready",
                   "[  0.009] /echo.Echo/Say: UNAVAILABLE after 1 attempt, no retry: the retry budget is empty",
                   "[  0.011] drain started: 1 call in flight, 4 waiting, 5.000 s of grace",
                   "[  0.012] drain finished after 1.200 s, 2 calls cut off",
               });
}

TEST_CASE("logging_observer: everything is every event", "[metrics]") {
  lines out;
  logging_observer log(into(out, log_verbosity::everything));
  tell_all(log);
  CHECK(
      out ==
      lines{
          "[  0.001] 127.0.0.1:5003 slot 2: connecting -> ready",
          "[  0.002] /echo.Echo/Say: started",
          "[  0.003] no slot for a call: no endpoint is ready",
          "[  0.004] 127.0.0.1:5003 slot 2: picked, 3 in flight, waited 1.500 ms",
          "[  0.005] /echo.Echo/Say attempt 1: on 127.0.0.1:5003 slot 2",
          "[  0.006] /echo.Echo/Say attempt 1: UNAVAILABLE in 0.250 ms from 127.0.0.1:5003 slot 2, never sent: reset",
          "[  0.007] /echo.Echo/Say: UNAVAILABLE, attempt 2 follows in 25.000 ms",
          "[  0.008] /echo.Echo/Say: UNAVAILABLE, attempt 2 follows in 0.000 ms (transparent: the last was never sent)",
          "[  0.009] /echo.Echo/Say: UNAVAILABLE after 1 attempt, no retry: the retry budget is empty",
          "[  0.010] /echo.Echo/Say: OK in 12.345 ms, 2 attempts",
          "[  0.011] drain started: 1 call in flight, 4 waiting, 5.000 s of grace",
          "[  0.012] drain finished after 1.200 s, 2 calls cut off",
      });
}

TEST_CASE("logging_observer: a lost connection reads as one sentence, on one line", "[metrics]") {
  lines out;
  logging_observer log(into(out, log_verbosity::connections));
  log.on(events::slot_changed{start + 3012ms, here, 2, slot_state::ready, slot_state::idle, "connection lost", 1s});
  log.on(events::slot_changed{start + 12345s, here, 0, slot_state::connecting, slot_state::backing_off,
                              "refused\n[  0.000] forged", 1s});
  CHECK(out == lines{
                   "[  3.012] 127.0.0.1:5003 slot 2: ready -> idle: connection lost",
                   "[12345.000] 127.0.0.1:5003 slot 0: connecting -> backing_off: refused\\x0a[  0.000] forged",
               });
}

TEST_CASE("logging_observer: without a start the first event is the start", "[metrics]") {
  lines out;
  logging_params params = into(out, log_verbosity::connections);
  params.start.reset();
  logging_observer log(params);
  log.on(events::drain_started{start, 0, 0, 1s});
  log.on(events::drain_finished{start + 1s, 1s, 0});
  REQUIRE(out.size() == 2);
  CHECK(out[0].starts_with("[  0.000] "));
  CHECK(out[1].starts_with("[  1.000] "));
}

TEST_CASE("logging_observer: refuses an empty sink", "[metrics]") {
  CHECK_THROWS_WITH(logging_observer({.sink = nullptr}), Catch::Matchers::Contains("logging_params.sink"));
}

TEST_CASE("logging_observer: a hedge is called one, and one that was not sent says why", "[metrics]") {
  lines out;
  logging_observer log(into(out, log_verbosity::everything));
  log.on(events::attempt_started{start, say, here, 2, 2, true});
  log.on(events::attempt_finished{start, say, here, 2, 2, status_code::cancelled, "", 250us, false, true});
  for (auto const why : {hedge_skip::no_room, hedge_skip::budget, hedge_skip::extra_load}) {
    log.on(events::hedge_skipped{start, say, why});
  }
  CHECK(out == lines{
                   "[  0.000] /echo.Echo/Say hedge 2: on 127.0.0.1:5003 slot 2",
                   "[  0.000] /echo.Echo/Say hedge 2: CANCELLED in 0.250 ms from 127.0.0.1:5003 slot 2",
                   "[  0.000] /echo.Echo/Say: no hedge: no slot has room",
                   "[  0.000] /echo.Echo/Say: no hedge: the retry budget is empty",
                   "[  0.000] /echo.Echo/Say: no hedge: max_extra_load is used up",
               });
}

TEST_CASE("logging_observer: pings that a server minds are told with what becomes of them", "[metrics]") {
  lines out;
  logging_observer log(into(out, log_verbosity::connections));
  log.on(events::too_many_pings{start, here, 2, 30s, 60s});
  log.on(events::too_many_pings{start, here, 2, 2h, 2h});
  CHECK(out ==
        lines{
            "[  0.000] 127.0.0.1:5003 slot 2: the server closed the connection: too_many_pings, at keepalive.time "
            "30s; from now on 1m",
            "[  0.000] 127.0.0.1:5003 slot 2: the server closed the connection: too_many_pings, at keepalive.time "
            "2h",
        });
}
