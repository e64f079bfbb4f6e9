// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/connection_age.hpp>

#include <millrace/base/rng.hpp>

#include <algorithm>

namespace millrace {
namespace {

// what a server makes of its age at least and at most, and a little for what we see late
constexpr double least = 0.9;
constexpr double most = 1.1;
constexpr double tolerance = 1.02;
constexpr double widest = most / least * tolerance;

// ends closer together than this part of the lifetime are one event
constexpr int apart = 100;

constexpr std::uint32_t believed_after = 3;
constexpr std::uint32_t let_live_one_in = 16;

duration scaled(duration value, double by) noexcept { return std::chrono::duration_cast<duration>(value * by); }

}  // namespace

void connection_age::observed_end(time_point now, duration lifetime, bool server_closed) noexcept {
  if (latest_ > duration::zero() && lifetime > scaled(latest_, widest)) {
    latest_ = duration::zero();
    run_ = 0;
  }
  if (!server_closed || lifetime < shortest_) return;
  if (run_ > 0 && now - counted_ < lifetime / apart) return;
  counted_ = now;
  duration const shorter = std::min(run_least_, lifetime);
  duration const longer = std::max(run_most_, lifetime);
  bool const of_one_age = run_ > 0 && longer <= scaled(shorter, widest);
  run_ = of_one_age ? std::min(run_ + 1, believed_after) : 1;
  run_least_ = of_one_age ? shorter : lifetime;
  run_most_ = of_one_age ? longer : lifetime;
  if (run_ == believed_after) latest_ = run_most_;
}

std::optional<duration> connection_age::earliest_end() const noexcept {
  if (latest_ == duration::zero()) return std::nullopt;
  return scaled(latest_, least / most);
}

std::optional<duration> connection_age::replace_after(rng& random) const noexcept {
  auto const earliest = earliest_end();
  if (!earliest) return std::nullopt;
  if (random.below(let_live_one_in) == 0) return scaled(latest_, widest * random.between(1.02, 1.05));
  return scaled(*earliest, random.between(0.80, 0.97));
}

}  // namespace millrace
