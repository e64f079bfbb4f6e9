// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/dial_order.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using balance::dial_candidate;
using balance::dial_order;
using balance::dial_outcome;

namespace {

constexpr time_point start{1000s};
constexpr duration delay = 250ms;

// endpoints by letter, and what came of dialing them: nothing, `!` failed, `?` asked, `x` unusable, `+` usable
std::vector<dial_candidate> list(std::string_view text) {
  std::vector<dial_candidate> made;
  for (char const one : text) {
    switch (one) {
      case '!': made.back().outcome = dial_outcome::failed; break;
      case '?': made.back().outcome = dial_outcome::asked; break;
      case 'x': made.back().outcome = dial_outcome::unusable; break;
      case '+': made.back().outcome = dial_outcome::usable; break;
      default: made.push_back({static_cast<std::uint32_t>(one - 'a'), dial_outcome::none});
    }
  }
  return made;
}

/// What a step comes to: who is dialed, in capitals who is chosen, and how long until it wants to be asked again; -1: never.
struct state {
  std::string dialed;
  bool searching;
  duration again;

  bool operator==(state const&) const = default;
};

std::ostream& operator<<(std::ostream& out, state const& one) {
  return out << one.dialed << (one.searching ? " searching " : " ") << one.again.count();
}

constexpr duration not_again = duration(-1);

state step(dial_order& order, duration at, std::string_view text) {
  time_point const again = order.step(start + at, list(text));
  state now{.dialed = {}, .searching = order.searching(), .again = again == never ? not_again : again - start - at};
  for (std::uint32_t const one : order.dialed()) {
    now.dialed += static_cast<char>((order.chosen() == one ? 'A' : 'a') + static_cast<char>(one));
  }
  return now;
}

struct row {
  std::string_view before, then;
  state same_time;  // a moment after `before`
  state later;      // when the delay has passed since
};

state searching(std::string dialed, duration again) { return {std::move(dialed), true, again}; }
state still(std::string dialed) { return {std::move(dialed), false, not_again}; }

}  // namespace

TEST_CASE("dial_order: what follows on a change, at once and after the delay", "[balance][dial_order]") {
  duration const rest = delay - 100ms;
  row const table[] = {
      // the first is dialed
      {"abc", "abc", searching("a", rest), searching("ab", delay)},
      {"abc", "a+bc", still("A"), still("A")},
      {"abc", "a!bc", searching("ab", delay), searching("abc", delay)},
      {"abc", "axbc", searching("ab", delay), searching("abc", delay)},
      {"abc", "a?bc", searching("a", rest), searching("ab", delay)},
      {"abc", "bc", searching("b", delay), searching("bc", delay)},
      {"abc", "ca", searching("a", rest), searching("ac", delay)},
      {"abc", "dabc", searching("a", rest), searching("ad", delay)},
      {"abc", "", still(""), still("")},
      {"a", "a", searching("a", rest), still("a")},
      {"a", "a!", still("a"), still("a")},
      {"a", "a!b", searching("ab", delay), still("ab")},
      // the first is chosen
      {"a+bc", "a+bc", still("A"), still("A")},
      {"a+bc", "c+b+a+", still("A"), still("A")},
      {"a+bc", "abc", searching("a", delay), searching("ab", delay)},
      {"a+bc", "a!bc", searching("ab", delay), searching("abc", delay)},
      {"a+bc", "axbc", searching("ab", delay), searching("abc", delay)},
      {"a+bc", "a?bc", searching("a", delay), searching("ab", delay)},
      {"a+bc", "bc", searching("b", delay), searching("bc", delay)},
      {"a+", "ax", still("a"), still("a")},
      {"a+", "", still(""), still("")},
      // a later one is
      {"ab+c", "a+b+c", still("B"), still("B")},
      {"ab+c", "abc", searching("a", delay), searching("ab", delay)},
      {"ab+c", "ab!c", searching("ab", delay), searching("abc", delay)},
      {"ab+c", "abxc", searching("ab", delay), searching("abc", delay)},
      {"ab+c", "ab?c", searching("b", delay), searching("ab", delay)},
      {"ab+c", "ac", searching("a", delay), searching("ac", delay)},
  };
  for (row const& one : table) {
    CAPTURE(one.before, one.then);
    dial_order order;
    step(order, 0ms, one.before);
    CHECK(step(order, 100ms, one.then) == one.same_time);
    CHECK(step(order, 100ms + delay, one.then) == one.later);
  }
}

TEST_CASE("dial_order: of several that are usable the first in order is chosen", "[balance][dial_order]") {
  dial_order order;
  step(order, 0ms, "abc");
  step(order, 250ms, "abc");
  step(order, 500ms, "abc");
  CHECK(step(order, 600ms, "ab+c+") == still("B"));
}

TEST_CASE("dial_order: a list that refuses is dialed to its end at once, then all of it until one is back",
          "[balance][dial_order]") {
  dial_order order;
  CHECK(step(order, 0ms, "abc") == searching("a", delay));
  CHECK(step(order, 1ms, "a!bc") == searching("ab", delay));
  CHECK(step(order, 2ms, "a!b!c") == searching("abc", delay));
  CHECK(step(order, 3ms, "a!b!c!") == still("abc"));
  CHECK(step(order, 10s, "a!b!c!") == still("abc"));
  CHECK(step(order, 11s, "a!b!c+") == still("C"));
}

TEST_CASE("dial_order: a silent list is dialed to its end, one more each delay, and not hastened by being asked late",
          "[balance][dial_order]") {
  dial_order order;
  CHECK(step(order, 0ms, "abcd") == searching("a", delay));
  CHECK(step(order, 249ms, "abcd") == searching("a", 1ms));
  CHECK(step(order, 250ms, "abcd") == searching("ab", delay));
  CHECK(step(order, 2s, "abcd") == searching("abc", delay));
  CHECK(step(order, 2250ms, "abcd") == searching("abcd", delay));
  CHECK(step(order, 2500ms, "abcd") == still("abcd"));
}

TEST_CASE("dial_order: one that fails while another has not answered makes nobody hurry", "[balance][dial_order]") {
  dial_order order;
  step(order, 0ms, "abc");
  step(order, 250ms, "abc");
  CHECK(step(order, 300ms, "ab!c") == searching("ab", 200ms));
  CHECK(step(order, 310ms, "a!b!c") == searching("abc", delay));
}

TEST_CASE("dial_order: the chosen one that is usable again before another is stays chosen", "[balance][dial_order]") {
  dial_order order;
  step(order, 0ms, "ab+");
  CHECK(step(order, 10ms, "abx") == searching("ab", delay));
  CHECK(step(order, 20ms, "ab+") == still("B"));
}

TEST_CASE("dial_order: an attempt_delay below that of RFC 8305 is refused by name", "[balance][dial_order]") {
  CHECK_NOTHROW(balance::validate({.attempt_delay = 10ms}, "x"));
  CHECK_THROWS_WITH(balance::validate({.attempt_delay = 9ms}, "x"),
                    "x.attempt_delay is 9000000 ns; allowed: 10 ms or more");
}
