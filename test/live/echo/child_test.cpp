// SPDX-License-Identifier: Apache-2.0

#include <support/catch.hpp>
#include <support/child.hpp>

#include <chrono>
#include <optional>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

struct ending {
  std::string fate;
  int status = 0;
};

ending end_of(std::string const& script) {
  bench::child one({"/bin/sh", "-c", script}, std::nullopt);
  auto const until = std::chrono::steady_clock::now() + 10s;
  ending seen{.fate = one.fate()};
  while (seen.fate == "still runs" && std::chrono::steady_clock::now() < until) seen.fate = one.fate();
  seen.status = one.wait(until);
  return seen;
}

}  // namespace

TEST_CASE("child: its fate says how it ended, and leaves its status to the one who waits", "[live][child]") {
  auto const left = end_of("exit 3");
  CHECK(left.fate == "ended with status 3");
  CHECK(left.status == 3);
  auto const killed = end_of("kill -9 $$");
  CHECK(killed.fate == "ended by signal 9");
  CHECK(killed.status == 128 + 9);
}

TEST_CASE("child: its fate is that it runs, until it was waited for", "[live][child]") {
  bench::child one({"/bin/cat", "/dev/zero"}, std::nullopt);
  CHECK(one.fate() == "still runs");
  one.wait(std::chrono::steady_clock::now());
  CHECK(one.fate() == "was waited for");
}
