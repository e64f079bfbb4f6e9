// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/peak_ewma.hpp>

#include <millrace/balance/impl/avoid.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace millrace::balance {
namespace {

// what a busy candidate without history costs beside its calls: more than any latency (Finagle's Long.MaxValue >> 16, 39 h)
constexpr double penalty = 0x1p47;

void require_positive(duration value, char const* field) {
  if (value > duration::zero()) return;
  throw std::invalid_argument("peak_ewma_params." + std::string(field) + " is " + std::to_string(value.count()) +
                              " ns; allowed: more than 0");
}

bool blames_the_server(status_code code) noexcept {
  return server_failures.contains(code) || server_refusals.contains(code);
}

}  // namespace

peak_ewma::peak_ewma(std::uint64_t seed, peak_ewma_params params) : random_(seed), params_(params) {
  require_positive(params.decay, "decay");
  require_positive(params.failure_latency, "failure_latency");
}

void peak_ewma::rebuild(std::span<candidate const> candidates) {
  candidates_.assign(candidates.begin(), candidates.end());
  for (history& one : histories_) one.present = false;
  for (candidate const& one : candidates_) {
    if (one.slot >= histories_.size()) histories_.resize(one.slot + 1);
    histories_[one.slot].present = true;
  }
  for (history& one : histories_) {
    if (!one.present) one = {};
  }
}

std::optional<std::size_t> peak_ewma::pick(pick_info const& info) noexcept {
  return impl::pick_avoiding(candidates_, info, [&] { return choose(info.now); });
}

void peak_ewma::on_done(done_info const& done) noexcept {
  if (done.slot >= histories_.size() || !histories_[done.slot].present) return;
  history& one = histories_[done.slot];
  bool const failed = blames_the_server(done.code);
  duration const counted = failed ? std::max(done.latency, params_.failure_latency) : done.latency;
  auto const latency = static_cast<double>(counted.count());
  double const weight = one.known ? weight_after(done.now - one.at) : 0;
  if (done.code != status_code::ok && latency <= one.latency * weight) return;
  bool const smooth = done.code == status_code::ok && latency < one.latency;
  one.latency = smooth ? one.latency * weight + latency * (1 - weight) : latency;
  one.at = done.now;
  one.known = true;
}

std::size_t peak_ewma::choose(time_point now) noexcept {
  auto const count = static_cast<std::uint32_t>(candidates_.size());
  if (count == 1) return 0;
  std::uint32_t const one = random_.below(count);
  std::uint32_t other = random_.below(count - 1);
  if (other >= one) ++other;
  candidate const& a = candidates_[other];
  candidate const& b = candidates_[one];
  return cost(a, now) * b.weight < cost(b, now) * a.weight ? other : one;
}

double peak_ewma::cost(candidate const& one, time_point now) const noexcept {
  history const& seen = histories_[one.slot];
  double const calls = *one.in_flight;
  if (!seen.known) return calls > 0 ? penalty + calls : 0;
  return seen.latency * weight_after(now - seen.at) * (calls + 1);
}

double peak_ewma::weight_after(duration elapsed) const noexcept {
  double const part = static_cast<double>(elapsed.count()) / static_cast<double>(params_.decay.count());
  return part > 0 ? std::exp(-part) : 1;
}

}  // namespace millrace::balance
