// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/verdict.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <array>

using namespace millrace::health;

namespace {

constexpr std::array reasons{health_reason::health_check, health_reason::accrual, health_reason::outlier};
constexpr std::array severities{severity::healthy, severity::probing, severity::unhealthy};

std::string words(health_reason by, severity how) {
  return std::string(to_string(by)) + " says " + std::string(to_string(how));
}

}  // namespace

TEST_CASE("verdict: an endpoint of which nobody said anything is healthy", "[health][verdict]") {
  verdict const one;
  CHECK(one.severity() == severity::healthy);
  CHECK(one.why().empty());
}

TEST_CASE("verdict: whatever is said, the severest reason counts, the first of several, and a change is told",
          "[health][verdict]") {
  for (severity const checked : severities) {
    for (severity const accrued : severities) {
      for (severity const compared : severities) {
        for (health_reason const by : reasons) {
          for (severity const next : severities) {
            verdict one;
            std::array said{checked, accrued, compared};
            for (std::size_t at = 0; at < reasons.size(); ++at)
              one.set(reasons[at], said[at], words(reasons[at], said[at]));
            severity const before = one.severity();
            CHECK(before == std::max({checked, accrued, compared}));

            auto const decided = one.reason();
            bool const changed = one.set(by, next, words(by, next));
            auto const place = static_cast<std::size_t>(by);
            said[place] = next;
            severity const worst = *std::max_element(said.begin(), said.end());
            CHECK(one.severity() == worst);
            for (std::size_t at = 0; at < reasons.size(); ++at) CHECK(one.severity(reasons[at]) == said[at]);
            auto const first = static_cast<std::size_t>(std::find(said.begin(), said.end(), worst) - said.begin());
            CHECK(one.reason() == reasons[first]);
            bool const other_reason = worst != severity::healthy && one.reason() != decided;
            CHECK(changed == (worst != before || other_reason));
            CHECK(one.why() == (worst == severity::healthy ? "" : words(reasons[first], worst)));
          }
        }
      }
    }
  }
}

TEST_CASE("verdict: clearing one reason does not revive an endpoint that another holds down", "[health][verdict]") {
  verdict one;
  CHECK(one.set(health_reason::outlier, severity::unhealthy, "success_rate"));
  CHECK(one.set(health_reason::accrual, severity::unhealthy, "too many failures in a row"));
  CHECK(one.why() == "too many failures in a row");
  CHECK(one.set(health_reason::accrual, severity::probing, "on trial"));
  CHECK(one.why() == "success_rate");
  CHECK(one.set(health_reason::outlier, severity::healthy, ""));
  CHECK(one.severity() == severity::probing);
  CHECK(one.set(health_reason::accrual, severity::healthy, ""));
  CHECK(one.severity() == severity::healthy);
}

TEST_CASE("verdict: the same severity in other words is a change, and in the same words none", "[health][verdict]") {
  verdict one;
  one.set(health_reason::health_check, severity::unhealthy, "the server says NOT_SERVING");
  CHECK(one.set(health_reason::health_check, severity::unhealthy, "the health watch ended"));
  CHECK(one.why() == "the health watch ended");
  CHECK_FALSE(one.set(health_reason::health_check, severity::unhealthy, "the health watch ended"));
  // one that does not decide
  CHECK_FALSE(one.set(health_reason::outlier, severity::unhealthy, "success_rate"));
  CHECK_FALSE(one.set(health_reason::accrual, severity::probing, "on trial"));
}
