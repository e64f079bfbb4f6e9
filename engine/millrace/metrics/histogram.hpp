// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace {

/// Durations counted in buckets that grow with them, as HdrHistogram does: 32 to each doubling. Fixed memory (under 10 KiB,
/// inside the object), no allocation, recording is O(1).
///
/// `percentile` is off by at most 1/64 of the value, for values up to `longest` (1.2 hours); below 64 ns it is exact. Longer
/// durations are counted as `longest`. `count`, `min` and `max` are exact, and `mean` is to within the rounding of a double.
/// A negative duration counts as zero.
///
/// Thread: one at a time. For many recorders keep one each and `merge` them.
class histogram {
 public:
  static constexpr duration longest = std::chrono::nanoseconds{(std::int64_t{1} << 42) - 1};

  void record(duration value) noexcept;

  std::uint64_t count() const noexcept { return count_; }

  /// The smallest recorded value that at least `percent` % of all do not exceed (nearest rank): 0 is the minimum, 100 the
  /// maximum. Zero when nothing was recorded.
  duration percentile(double percent) const noexcept;

  /// Zero when nothing was recorded, like `max` and `mean`.
  duration min() const noexcept;
  duration max() const noexcept { return max_; }
  duration mean() const noexcept;

  /// Adds all that `other` has recorded.
  void merge(histogram const& other) noexcept;

  void reset() noexcept { *this = {}; }

 private:
  static constexpr unsigned sub_bits = 5;  // 32 buckets a doubling
  static constexpr unsigned value_bits = 42;
  static constexpr std::size_t bucket_count = std::size_t{value_bits - sub_bits + 1} << sub_bits;

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t middle_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
  duration min_ = duration::max();
  duration max_ = duration::zero();
};

}  // namespace millrace
