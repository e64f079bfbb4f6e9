// SPDX-License-Identifier: Apache-2.0
#include "scripted_call.hpp"

#include <millrace/intercept/logging.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <string>

using namespace millrace;

TEST_CASE("logging_interceptor: writes one line a call, when it is done", "[intercept]") {
  std::vector<std::string> lines;
  logging_interceptor logging([&](std::string_view line) { lines.emplace_back(line); });
  CHECK(logging.hooks() == hook_set{hook::done});

  scripted_call call;
  call.context.set_started(time_point{} + std::chrono::seconds(7));
  call.context.set_now(time_point{} + std::chrono::seconds(7) + std::chrono::microseconds(12345));
  call.context.set_attempts(1);
  CHECK(logging.on_done(call.context, {}).what() == hook_result::kind::proceed);
  call.context.set_attempts(3);
  CHECK(logging.on_done(call.context, {status_code::unavailable, "connection\nrefused", {}}).what() ==
        hook_result::kind::proceed);
  CHECK(lines ==
        std::vector<std::string>{"/echo.Echo/Say: OK in 12.345 ms, 1 attempt",
                                 "/echo.Echo/Say: UNAVAILABLE in 12.345 ms, 3 attempts: connection\\x0arefused"});
}

TEST_CASE("logging_interceptor: refuses an empty sink", "[intercept]") {
  CHECK_THROWS_WITH(logging_interceptor(nullptr), Catch::Matchers::Contains("sink is empty"));
}
