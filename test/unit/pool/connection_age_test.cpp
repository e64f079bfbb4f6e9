// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/pool/connection_age.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr time_point start = time_point{} + 1000s;

double seconds(duration value) { return std::chrono::duration<double>(value).count(); }

duration jittered(duration age, rng& random) {
  return std::chrono::duration_cast<duration>(age * random.between(0.9, 1.1));
}

struct fixture {
  connection_age subject{};
  time_point now = start;

  // far enough from the one before
  void ended(duration lifetime, bool server_closed = true) {
    now += lifetime;
    subject.observed_end(now, lifetime, server_closed);
  }

  bool knows() const { return subject.earliest_end().has_value(); }

  void learn(duration age) {
    for (int end = 0; end < 3; ++end) ended(age);
    REQUIRE(knows());
  }
};

}  // namespace

TEST_CASE("connection_age: three ends that could be of one age are believed, fewer are not", "[pool][connection_age]") {
  struct row {
    std::vector<duration> ends;
    bool known;
  };
  for (row const& one : {
           row{{}, false},
           row{{600s}, false},
           row{{600s, 600s}, false},
           row{{600s, 600s, 600s}, true},
           row{{545s, 655s, 600s}, true},        // ± 10 % of 600 s
           row{{500s, 655s, 600s}, false},       // too far apart
           row{{600s, 600s, 60s, 600s}, false},  // one between starts the count over
           row{{60s, 600s, 620s, 580s}, true},
           row{{900ms, 900ms, 900ms}, false},     // too short to chase
           row{{600s, 900ms, 600s, 600s}, true},  // which does not disturb the others either
           row{{60s, 120s, 180s, 240s}, false},
       }) {
    fixture subject;
    for (duration const end : one.ends) subject.ended(end);
    INFO(one.ends.size() << " ends");
    CHECK(subject.knows() == one.known);
    rng random{1};
    CHECK(subject.subject.replace_after(random).has_value() == one.known);
  }
}

TEST_CASE("connection_age: ends that the server did not want say nothing of its age", "[pool][connection_age]") {
  fixture one;
  for (int end = 0; end < 10; ++end) one.ended(600s, false);
  CHECK_FALSE(one.knows());
}

TEST_CASE("connection_age: what ends at one moment is one event", "[pool][connection_age]") {
  connection_age one;
  for (int slot = 0; slot < 20; ++slot) one.observed_end(start + 100ms * slot, 600s, true);  // a restart
  CHECK_FALSE(one.earliest_end());
  // two more of them later: a server that closes at a fixed age
  one.observed_end(start + 601s, 600s, true);
  CHECK_FALSE(one.earliest_end());
  one.observed_end(start + 1202s, 600s, true);
  CHECK(one.earliest_end());
}

TEST_CASE("connection_age: an age is learned from ends that A9 spreads, and nothing is replaced after its end",
          "[pool][connection_age]") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    INFO("seed " << seed);
    rng random{seed};
    duration const age = 1s * (10 + random.below(7200));
    fixture one;
    for (int end = 0; end < 3; ++end) one.ended(jittered(age, random));
    REQUIRE(one.knows());
    CHECK(*one.subject.earliest_end() <= age * 9 / 10 + age / 50);
    CHECK(*one.subject.earliest_end() >= age * 7 / 10);
    int let_live = 0;
    for (int slot = 0; slot < 200; ++slot) {
      duration const after = *one.subject.replace_after(random);
      bool const outlives = after > age;
      let_live += outlives ? 1 : 0;
      if (!outlives) {
        CHECK(after < age * 9 / 10);
        CHECK(after > age / 2);
      }
    }
    CHECK(let_live > 1);
    CHECK(let_live < 40);
  }
}

TEST_CASE("connection_age: slots that were made together are replaced apart", "[pool][connection_age]") {
  fixture one;
  one.learn(3600s);
  rng random{7};
  std::vector<double> after;
  for (int slot = 0; slot < 100; ++slot) after.push_back(seconds(*one.subject.replace_after(random)));
  std::sort(after.begin(), after.end());
  // of 500 s in which they are, no 20 s see more than 15
  for (std::size_t at = 0; at + 15 < after.size(); ++at) CHECK(after[at + 15] - after[at] > 20);
}

TEST_CASE("connection_age: one that outlives the age proves it wrong, however it ends", "[pool][connection_age]") {
  for (bool const server_closed : {false, true}) {
    fixture one;
    one.learn(600s);
    one.ended(740s, server_closed);  // could still be: the three were early ones
    CHECK(one.knows());
    one.ended(930s, server_closed);
    CHECK_FALSE(one.knows());
    for (int end = 0; end < 3; ++end) one.ended(1200s);
    CHECK(one.knows());
    CHECK(*one.subject.earliest_end() >= 960s);
  }
}

TEST_CASE("connection_age: an age that became less is learned from three ends, and a restart is not one",
          "[pool][connection_age]") {
  fixture one;
  one.learn(3600s);
  duration const before = *one.subject.earliest_end();
  one.ended(40s);
  one.ended(700s);
  one.ended(300s);
  CHECK(one.subject.earliest_end() == before);
  for (int end = 0; end < 3; ++end) one.ended(1200s);
  CHECK(*one.subject.earliest_end() < 1200s);
}

TEST_CASE("connection_age: a pool that follows it loses few connections, and notices when the age changes",
          "[pool][connection_age]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    rng random{seed};
    connection_age subject;
    struct slot {
      time_point replace_at;
      time_point made;
      time_point ends;
    };
    duration age = 1800s;
    auto const make = [&](time_point now) {
      auto const after = subject.replace_after(random);
      return slot{.replace_at = after ? now + *after : never, .made = now, .ends = now + jittered(age, random)};
    };
    int lost = 0;
    int replaced = 0;
    std::vector<slot> slots(4, make(start));
    auto const live_until = [&](time_point until) {
      lost = replaced = 0;
      while (true) {
        auto const next = std::min_element(slots.begin(), slots.end(), [](slot const& a, slot const& b) {
          return std::min(a.ends, a.replace_at) < std::min(b.ends, b.replace_at);
        });
        time_point const now = std::min(next->ends, next->replace_at);
        if (now > until) return;
        bool const closed = next->ends <= next->replace_at;
        (closed ? lost : replaced) += 1;
        subject.observed_end(now, now - next->made, closed);
        *next = make(now);
      }
    };
    // the first ones end by themselves; the next ones are replaced, but for one in sixteen
    live_until(start + 24h);
    CHECK(replaced > 100);
    CHECK(lost < replaced / 4);
    // longer lives are found out by those that are let live
    age = 7200s;
    live_until(start + 72h);
    CHECK(subject.earliest_end().value_or(7200s) > 3600s);
    // shorter ones by their ends
    age = 600s;
    live_until(start + 96h);
    CHECK(lost < replaced / 4);
    CHECK(subject.earliest_end().value_or(1h) < 600s);
  }
}
