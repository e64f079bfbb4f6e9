// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/histogram.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace millrace::peers {

/// How long a client is measured.
struct window {
  duration warm_up = std::chrono::milliseconds{100};
  duration length = std::chrono::milliseconds{300};
  std::uint64_t calls = 0;  ///< Not 0: make exactly so many calls and measure all of them, without warming up.
};

/// What was measured between two completions.
struct figures {
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;  ///< Of all calls, those of the warm-up included.
  double cpu_us = 0;         ///< A call; user and system, of all threads.
  double rps = 0;
  double p50_us = 0;
  double p99_us = 0;
  double allocations = 0;  ///< A call.
};

/// Decides when a client's lanes stop, and measures it meanwhile. A lane makes one call after the other; as many lanes run as calls are
/// in flight. After the warm-up the rate so far tells how many calls fill the window; it opens at one completion and closes at
/// another, with all lanes busy at both.
///
/// Costs each client the same: one clock read, two atomic increments and a histogram entry a call.
///
/// Thread: any.
class meter {
 public:
  meter(window wanted, unsigned lanes) noexcept;

  /// When a lane's first call begins; none when it shall make none.
  std::optional<time_point> begin() noexcept;

  /// A call that began at `began` has ended. When the lane's next one begins; none when it is done.
  std::optional<time_point> next(time_point began) noexcept;

  /// The same for a call that failed.
  std::optional<time_point> failed(time_point began, std::string why) noexcept;

  /// When all lanes are done.
  figures result() const;
  std::string const& first_failure() const noexcept { return first_failure_; }

 private:
  struct snapshot {
    time_point at{};
    double cpu_seconds = 0;
    std::uint64_t allocations = 0;
  };

  static snapshot take(time_point at) noexcept;
  void open(std::uint64_t after, time_point now) noexcept;
  histogram& own_histogram();

  window const wanted_;
  std::uint64_t const lanes_;
  time_point born_;
  std::atomic<std::uint64_t> begun_ = 0;
  std::atomic<std::uint64_t> ended_ = 0;
  std::atomic<bool> opening_ = false;
  // the window holds the completions after the first of these numbers, up to the second
  std::atomic<std::uint64_t> first_;
  std::atomic<std::uint64_t> last_;
  snapshot opened_;
  snapshot closed_;

  mutable std::mutex mutex_;  // guards the members below
  std::vector<std::unique_ptr<histogram>> histograms_;
  std::uint64_t failed_ = 0;
  std::string first_failure_;
};

}  // namespace millrace::peers
