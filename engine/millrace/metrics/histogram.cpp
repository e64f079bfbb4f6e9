// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/histogram.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

namespace millrace {

void histogram::record(duration value) noexcept {
  value = std::max(value, duration::zero());
  ++buckets_[bucket_of(static_cast<std::uint64_t>(std::chrono::nanoseconds{std::min(value, longest)}.count()))];
  ++count_;
  sum_ += static_cast<double>(value.count());
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

duration histogram::percentile(double percent) const noexcept {
  if (count_ == 0) return duration::zero();
  if (!(percent > 0)) return min_;
  double const rank = std::ceil(percent / 100 * static_cast<double>(count_));
  double below = 0;
  for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
    below += static_cast<double>(buckets_[bucket]);
    if (below >= rank && rank < static_cast<double>(count_)) {
      return std::clamp<duration>(std::chrono::nanoseconds{middle_of(bucket)}, min_, max_);
    }
  }
  return max_;
}

duration histogram::min() const noexcept { return count_ == 0 ? duration::zero() : min_; }

duration histogram::mean() const noexcept {
  if (count_ == 0) return duration::zero();
  return duration{static_cast<duration::rep>(sum_ / static_cast<double>(count_))};
}

void histogram::merge(histogram const& other) noexcept {
  for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) buckets_[bucket] += other.buckets_[bucket];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

// below 64 each value has its own; above, the six leading bits choose within the doubling
std::size_t histogram::bucket_of(std::uint64_t value) noexcept {
  auto const width = static_cast<unsigned>(std::bit_width(value));
  if (width <= sub_bits + 1) return static_cast<std::size_t>(value);
  unsigned const shift = width - sub_bits - 1;
  return (std::size_t{shift} << sub_bits) + static_cast<std::size_t>(value >> shift);
}

std::uint64_t histogram::middle_of(std::size_t bucket) noexcept {
  if (bucket < (std::size_t{2} << sub_bits)) return bucket;
  std::size_t const shift = (bucket >> sub_bits) - 1;
  std::uint64_t const first = (bucket - (shift << sub_bits)) << shift;
  return first + (std::uint64_t{1} << shift) / 2;
}

}  // namespace millrace
