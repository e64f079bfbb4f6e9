// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/loop.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

namespace millrace::test {

/// Generous, for sanitizers and busy machines: only a test that fails waits this long.
inline constexpr auto patience = std::chrono::seconds(30);

/// Runs the loop until `condition` holds, and fails the test, saying what it waited for, when that takes too long.
template <class Condition>
void run_until(loop& on, std::string_view what, Condition condition, duration within = patience) {
  auto const until = clock::now() + within;
  on.work_started();
  while (!condition() && clock::now() < until) on.run_until(clock::now() + std::chrono::milliseconds(2));
  on.work_finished();
  if (!condition()) FAIL("waited in vain for: " << std::string(what));
}

/// The same for what goes on in other threads and processes.
template <class Condition>
void wait_until(std::string_view what, Condition condition, duration within = patience) {
  auto const until = clock::now() + within;
  while (!condition() && clock::now() < until) std::this_thread::yield();
  if (!condition()) FAIL("waited in vain for: " << std::string(what));
}

}  // namespace millrace::test
