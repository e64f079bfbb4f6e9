// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/observer.hpp>
#include <millrace/retry/budget.hpp>
#include <millrace/sim/world.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

namespace millrace::sim {

/// What the servers of a world received, and what failed on its way to them, against the bound of its pool's budget. Outlives
/// the world.
class arrivals final : public observer {
 public:
  /// Before the first call.
  void watch(world& in) {
    in_ = &in;
    in.add(*this);
    for (server* const one : in.net().servers()) {
      one->on_request = [this](attempt_request const& request) {
        if (request.previous_attempts > 0) extra_.push_back(in_->loop().now());
      };
    }
  }

  /// Where no call takes longer than that.
  ///
  /// The bound is the budget's, of a ttl, where withdrawals are made. An attempt that was paid for arrives, or fails, before its
  /// call's deadline, so what arrives in a ttl less the longest call was paid for in that ttl. It holds whenever something was paid
  /// for; a question may follow that finds the budget empty. Throws std::logic_error.
  void check(retry::budget_params const& budget, duration longest_call) const {
    times const calls = made();
    times attempts = received(&server::received_at);
    attempts.insert(attempts.end(), unsent_.begin(), unsent_.end());
    std::ranges::sort(attempts);
    times const questions = received(&server::asked_at);
    duration const window = (budget.ttl + duration{9}) / 10;
    for (time_point const end : extra_) {
      time_point const from = end - budget.ttl + longest_call;
      double const seen = count(attempts, from, end) + count(questions, from, end - longest_call);
      double const bound = count(calls, from - longest_call, end) +
                           budget.percent * count(calls, end - longest_call - budget.ttl - window, end) +
                           budget.min_per_second * std::chrono::duration<double>(budget.ttl).count();
      if (seen <= bound + 1e-3) continue;
      throw std::logic_error(
          fmt::format("there were {} attempts and questions in {} ms, and the budget allows {}", seen,
                      std::chrono::duration_cast<std::chrono::milliseconds>(end - from).count(), bound));
    }
  }

  using observer::on;
  void on(events::attempt_finished const& event) noexcept override {
    if (event.never_left) unsent_.push_back(event.at);
  }

 private:
  using times = std::vector<time_point>;

  times made() const {
    times all;
    for (call_record const& one : in_->calls()) all.push_back(one.started);
    return all;
  }
  times received(times const& (server::*what)() const noexcept) const {
    times all;
    for (server* const one : in_->net().servers()) {
      times const& its = (one->*what)();
      all.insert(all.end(), its.begin(), its.end());
    }
    std::ranges::sort(all);
    return all;
  }

  /// Later than `from` and not later than `until`.
  static double count(times const& sorted, time_point from, time_point until) {
    auto const first = std::upper_bound(sorted.begin(), sorted.end(), from);
    return static_cast<double>(std::upper_bound(first, sorted.end(), until) - first);
  }

  world* in_ = nullptr;
  times extra_;   // attempts that say that others went before
  times unsent_;  // attempts that failed before a server had them
};

}  // namespace millrace::sim
