// SPDX-License-Identifier: Apache-2.0
#include "meter.hpp"

#include <support/allocations.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace millrace::peers {
namespace {

constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

// calls a lane makes before its client counts as warm
constexpr std::uint64_t warm_lane_calls = 4;

double seconds(timeval const& t) noexcept {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

double seconds(duration d) noexcept { return std::chrono::duration<double>(d).count(); }
double microseconds(duration d) noexcept { return seconds(d) * 1e6; }

}  // namespace

meter::meter(window wanted, unsigned lanes) noexcept
    : wanted_(wanted),
      lanes_(lanes),
      born_(std::chrono::steady_clock::now()),
      first_(wanted.calls > 0 ? 0 : none),
      last_(wanted.calls > 0 ? wanted.calls : none) {}

std::optional<time_point> meter::begin() noexcept {
  auto const number = begun_.fetch_add(1, std::memory_order_relaxed);
  if (wanted_.calls > 0 && number >= wanted_.calls) return std::nullopt;
  auto const now = std::chrono::steady_clock::now();
  if (number == 0) {
    born_ = now;
    opened_ = take(now);
  }
  return now;
}

std::optional<time_point> meter::next(time_point began) noexcept {
  auto const now = std::chrono::steady_clock::now();
  auto const number = ended_.fetch_add(1, std::memory_order_acq_rel) + 1;
  auto const first = first_.load(std::memory_order_acquire);
  auto const last = last_.load(std::memory_order_acquire);
  if (number > first && number <= last) own_histogram().record(now - began);
  if (first == none && now - born_ >= wanted_.warm_up && number >= warm_lane_calls * lanes_) open(number, now);
  if (number == last) closed_ = take(now);
  if (number >= last) return std::nullopt;
  auto const begun = begun_.fetch_add(1, std::memory_order_relaxed);
  if (wanted_.calls > 0 && begun >= wanted_.calls) return std::nullopt;
  return now;
}

std::optional<time_point> meter::failed(time_point began, std::string why) noexcept {
  {
    std::lock_guard const lock(mutex_);
    if (failed_++ == 0) first_failure_ = std::move(why);
  }
  return next(began);
}

void meter::open(std::uint64_t after, time_point now) noexcept {
  if (opening_.exchange(true)) return;
  double const rate = static_cast<double>(after) / seconds(now - born_);
  auto const calls = static_cast<std::uint64_t>(rate * seconds(wanted_.length));
  opened_ = take(now);
  last_.store(after + std::max(calls, 4 * lanes_), std::memory_order_release);
  first_.store(after, std::memory_order_release);
}

figures meter::result() const {
  std::lock_guard const lock(mutex_);
  histogram all;
  for (auto const& one : histograms_) all.merge(*one);
  figures made{.calls = last_.load() - first_.load(), .failed = failed_};
  double const calls = static_cast<double>(made.calls);
  made.cpu_us = (closed_.cpu_seconds - opened_.cpu_seconds) * 1e6 / calls;
  made.rps = calls / seconds(closed_.at - opened_.at);
  made.p50_us = microseconds(all.percentile(50));
  made.p99_us = microseconds(all.percentile(99));
  made.allocations = static_cast<double>(closed_.allocations - opened_.allocations) / calls;
  return made;
}

meter::snapshot meter::take(time_point at) noexcept {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return {at, seconds(used.ru_utime) + seconds(used.ru_stime), bench::allocation_count()};
}

// a process has one meter
histogram& meter::own_histogram() {
  thread_local histogram* own = nullptr;
  if (own == nullptr) {
    std::lock_guard const lock(mutex_);
    own = histograms_.emplace_back(std::make_unique<histogram>()).get();
  }
  return *own;
}

}  // namespace millrace::peers
