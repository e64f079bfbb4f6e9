// SPDX-License-Identifier: Apache-2.0
#include <millrace/time/duration_text.hpp>

#include <support/catch.hpp>

using namespace millrace;
using namespace std::chrono_literals;

TEST_CASE("duration: a number and a unit are a duration", "[time]") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("10s") == 10s);
  CHECK(parse_duration("2m") == 2min);
  CHECK(parse_duration("1.5s") == 1500ms);
  CHECK(parse_duration("250us") == 250us);
  CHECK(parse_duration("7ns") == 7ns);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("0.1ms") == 100us);
  CHECK(parse_duration("0") == 0ns);
  CHECK(parse_duration("0s") == 0ns);
}

TEST_CASE("duration: anything else is none", "[time]") {
  for (auto const* const text : {"", "s", "5", "-1s", "+1s", "1 s", "1e3s", "1.2.3s", "infs", "nan", "10sec", "s10",
                                 "1S", ".", ".s", "99999999h", "0x10s", " 1s", "1s "}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}

TEST_CASE("duration: its text is in the largest whole unit, and reads back as itself", "[time]") {
  CHECK(to_text(1500ms) == "1500ms");
  CHECK(to_text(2min) == "2m");
  CHECK(to_text(0ns) == "0s");
  for (auto const value : std::initializer_list<duration>{1ns, 999ns, 1us, 1001us, 1h, 61s})
    CHECK(parse_duration(to_text(value)) == value);
}
