// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/budget.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using retry::budget;
using retry::budget_params;

namespace {

constexpr time_point at(duration since_start) { return time_point{} + 1000s + since_start; }

int withdraw_all(budget& from, time_point now) {
  int count = 0;
  while (count < 1000000 && from.try_withdraw(now)) ++count;
  return count;
}

std::string refusal(budget_params params) {
  try {
    validate(params, "pool.budget");
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "accepted";
}

// entries of `times`, which ascends, in (after, until]
double within(std::vector<time_point> const& times, time_point after, time_point until) {
  return static_cast<double>(std::upper_bound(times.begin(), times.end(), until) -
                             std::upper_bound(times.begin(), times.end(), after));
}

struct history {
  std::vector<time_point> deposits;
  std::vector<time_point> withdrawals;
};

// bursts, trickles and long silences; a third of the schedules retry whatever is allowed
history random_history(budget& one, rng& random, duration ttl) {
  history seen;
  time_point now = at(0s);
  bool const greedy = random.below(3) == 0;
  std::uint32_t const most_calls = 1 + random.below(60);
  for (int step = 0; step < 600; ++step) {
    bool const silence = random.below(40) == 0;
    now += silence ? ttl / 4 * random.below(6) : ttl / 1000 * random.below(50);
    for (auto calls = random.below(most_calls); calls > 0; --calls) {
      one.deposit(now);
      seen.deposits.push_back(now);
    }
    for (auto tries = greedy ? 500u : random.below(20); tries > 0; --tries) {
      if (one.try_withdraw(now)) seen.withdrawals.push_back(now);
    }
  }
  return seen;
}

}  // namespace

TEST_CASE("budget: in no ttl do retries exceed the share of the calls and the floor", "[retry][budget]") {
  rng random{2016};
  for (int schedule = 0; schedule < 200; ++schedule) {
    budget_params const params{.percent = static_cast<double>(random.below(5)) * 0.2,
                               .min_per_second = static_cast<double>(random.below(4)) * 3.5,
                               .ttl = std::chrono::milliseconds{1000 + random.below(20000)}};
    budget one{params};
    history const seen = random_history(one, random, params.ttl);
    double const floor = params.min_per_second * std::chrono::duration<double>(params.ttl).count();
    for (time_point const now : seen.withdrawals) {
      // closed at its start, and a nanosecond for windows that are not a whole number of them
      double const spent = within(seen.withdrawals, now - params.ttl - 1ns, now);
      double const paid = within(seen.deposits, now - params.ttl - params.ttl / 10 - 20ns, now);
      if (spent > params.percent * paid + floor + 1e-3) FAIL("schedule " << schedule << ": " << spent << " retries");
    }
    CHECK(one.withdrawn() == seen.withdrawals.size());
  }
}

TEST_CASE("budget: the floor's burst is not given twice within one ttl", "[retry][budget]") {
  budget one{{.percent = 0, .min_per_second = 10, .ttl = 10s}};
  CHECK(withdraw_all(one, at(999ms)) == 100);
  CHECK(withdraw_all(one, at(10s)) == 0);
  CHECK(withdraw_all(one, at(10998ms)) == 0);
  CHECK(withdraw_all(one, at(11s)) == 100);
}

TEST_CASE("budget: each call pays for its share of a retry", "[retry][budget]") {
  for (double percent : {0.1, 0.2, 0.29, 0.5, 1.0, 2.0}) {
    budget one{{.percent = percent, .min_per_second = 0}};
    for (int call = 0; call < 100; ++call) one.deposit(at(0s));
    CHECK(one.balance(at(0s)) == Approx(100 * percent));
    CHECK(withdraw_all(one, at(0s)) == static_cast<int>(100 * percent + 0.5));
  }
}

TEST_CASE("budget: a fraction of a retry is none", "[retry][budget]") {
  budget one{{.percent = 0.2, .min_per_second = 0}};
  for (int call = 0; call < 4; ++call) one.deposit(at(0s));
  CHECK_FALSE(one.try_withdraw(at(0s)));
  one.deposit(at(0s));
  CHECK(one.try_withdraw(at(0s)));
  CHECK_FALSE(one.try_withdraw(at(0s)));
  CHECK(one.denied() == 2);
  CHECK(one.withdrawn() == 1);
}

TEST_CASE("budget: a deposit lives for a ttl and at most a window more", "[retry][budget]") {
  for (duration made : {0ms, 1ms, 500ms, 999ms}) {
    budget one{{.percent = 1, .min_per_second = 0, .ttl = 10s}};
    one.deposit(at(made));
    CHECK(one.balance(at(made + 10s)) == 1);
    CHECK(one.balance(at(made + 11s)) == 0);
    CHECK_FALSE(one.try_withdraw(at(made + 11s)));
  }
}

TEST_CASE("budget: a debt shows as an empty balance and is paid first", "[retry][budget]") {
  budget one{{.percent = 1, .min_per_second = 0, .ttl = 10s}};
  for (int call = 0; call < 5; ++call) one.deposit(at(0s));
  CHECK(withdraw_all(one, at(9s)) == 5);
  CHECK(one.balance(at(11s)) == 0);
  for (int call = 0; call < 6; ++call) one.deposit(at(12s));
  CHECK(withdraw_all(one, at(12s)) == 1);
}

TEST_CASE("budget: in a steady state the whole share may be spent, for ever", "[retry][budget]") {
  budget one{{.percent = 0.2, .min_per_second = 0}};
  std::uint64_t calls = 0;
  for (time_point now = at(0s); now < at(1h); now += 10ms) {
    one.deposit(now);
    ++calls;
    while (one.try_withdraw(now)) {
    }
  }
  CHECK(one.withdrawn() == calls / 5);
}

TEST_CASE("budget: no share and no floor mean no retry, ever", "[retry][budget]") {
  budget one{{.percent = 0, .min_per_second = 0}};
  for (time_point now = at(0s); now < at(60s); now += 100ms) {
    for (int call = 0; call < 1000; ++call) one.deposit(now);
    CHECK_FALSE(one.try_withdraw(now));
  }
  CHECK(one.withdrawn() == 0);
  CHECK(one.denied() == 600);
}

TEST_CASE("budget: a silence of any length leaves the floor and nothing else", "[retry][budget]") {
  for (duration silence : {duration{11s}, duration{12s}, duration{22s}, duration{24h}, duration{24h * 365 * 100}}) {
    budget one{};
    for (int call = 0; call < 1000; ++call) one.deposit(at(0s));
    withdraw_all(one, at(0s));
    CHECK(one.balance(at(silence)) == 100);
  }
}

TEST_CASE("budget: a time that goes back counts as the latest seen", "[retry][budget]") {
  budget one{{.percent = 1, .min_per_second = 0}};
  one.deposit(at(50s));
  one.deposit(at(1s));
  CHECK(one.balance(at(0s)) == 2);
  CHECK(one.balance(at(60s)) == 2);
  CHECK(one.balance(at(61s)) == 0);
}

TEST_CASE("budget: times before the clock's epoch are times like any other", "[retry][budget]") {
  budget one{{.percent = 1, .min_per_second = 0}};
  for (int second = -100; second < 100; ++second) {
    one.deposit(time_point{} + std::chrono::seconds{second});
    CHECK(one.balance(time_point{} + std::chrono::seconds{second}) <= 12);
  }
  CHECK(one.balance(time_point{} + 99s) == 11);
}

namespace {

/// What reached the servers, and when.
struct arrivals {
  std::vector<time_point> calls;
  std::vector<time_point> extras;  // retries, hedges, transparent retries, questions after health

  static std::size_t since(std::vector<time_point> const& all, time_point from) {
    return static_cast<std::size_t>(all.end() - std::upper_bound(all.begin(), all.end(), from));
  }
};

enum class sent { call, retry, hedge, transparent, probe };

sent draw(rng& random) {
  // in an outage most is extra, and health is asked for by the way
  constexpr sent kinds[] = {sent::call,  sent::call,        sent::retry, sent::retry,
                            sent::hedge, sent::transparent, sent::probe};
  return kinds[random.below(std::size(kinds))];
}

/// Whether the bound held at each extra that could have been refused.
bool bound_holds(std::uint64_t seed) {
  rng random(seed);
  budget_params const params{
      .percent = random.uniform(), .min_per_second = 5 * random.uniform(), .ttl = 1s + random.below(3) * 1s};
  budget one(params);
  arrivals seen;
  duration const window = (params.ttl + duration{9}) / 10;
  duration const pace = std::chrono::milliseconds(1 + random.below(80));
  time_point now = at(0s);
  for (int event = 0; event < 200; ++event) {
    now += std::chrono::duration_cast<duration>(2 * pace * random.uniform());
    switch (draw(random)) {
      case sent::call:
        one.deposit(now);
        seen.calls.push_back(now);
        break;
      case sent::probe:
        one.charge(now);
        seen.extras.push_back(now);
        break;
      case sent::retry:
      case sent::hedge:
      case sent::transparent: {
        bool const allowed = one.allows(now);
        if (one.try_withdraw(now) != allowed) return false;
        if (!allowed) break;
        seen.extras.push_back(now);
        double const bound =
            params.percent * static_cast<double>(arrivals::since(seen.calls, now - params.ttl - window)) +
            params.min_per_second * std::chrono::duration<double>(params.ttl).count();
        if (static_cast<double>(arrivals::since(seen.extras, now - params.ttl)) > bound + 1e-3) return false;
        break;
      }
    }
  }
  return one.withdrawn() + one.charged() == seen.extras.size();
}

}  // namespace

TEST_CASE("budget: whatever is sent, retries, hedges and questions after health stay within its bound",
          "[retry][budget]") {
  for (std::uint64_t seed = 1; seed <= 100'000; ++seed) {
    INFO("seed " << seed);
    if (!bound_holds(seed)) FAIL("the bound is broken");
  }
}

TEST_CASE("budget: what is charged is not refused, and leaves less for the rest", "[retry][budget]") {
  budget one{{.percent = 0, .min_per_second = 1}};
  for (int question = 0; question < 8; ++question) one.charge(at(0s));
  CHECK(withdraw_all(one, at(0s)) == 2);
  for (int question = 0; question < 5; ++question) one.charge(at(1s));
  CHECK(one.balance(at(1s)) == 0);
  CHECK_FALSE(one.allows(at(1s)));
  CHECK(one.charged() == 13);
  CHECK(one.withdrawn() == 2);
}

TEST_CASE("budget: a refusal names the field, its value and what is allowed", "[retry][budget]") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.percent = 0, .min_per_second = 0, .ttl = 1s}) == "accepted");
  CHECK(refusal({.percent = 1000, .ttl = 60s}) == "accepted");
  CHECK(refusal({.percent = -0.2}) == "pool.budget.percent is -0.2; allowed: 0 to 1000");
  CHECK(refusal({.percent = 1001}) == "pool.budget.percent is 1001; allowed: 0 to 1000");
  CHECK(refusal({.percent = std::numeric_limits<double>::quiet_NaN()}) ==
        "pool.budget.percent is nan; allowed: 0 to 1000");
  CHECK(refusal({.min_per_second = -1}) == "pool.budget.min_per_second is -1; allowed: a finite number of at least 0");
  CHECK(refusal({.ttl = 999ms}) == "pool.budget.ttl is 999ms; allowed: 1000ms to 60000ms");
  CHECK(refusal({.ttl = 61s}) == "pool.budget.ttl is 61000ms; allowed: 1000ms to 60000ms");
  CHECK_THROWS_WITH(budget({.ttl = 0s}), "budget.ttl is 0ms; allowed: 1000ms to 60000ms");
}
