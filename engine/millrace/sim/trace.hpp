// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/metrics/logging_observer.hpp>
#include <millrace/time/clock.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace millrace::sim {

/// What happened, a line each, as logging_observer words it. Give `events()` to a pool; print `text()` when a test fails.
class trace {
 public:
  /// Times are counted from `start`; of the lines the last `keep` stay.
  explicit trace(time_point start, std::size_t keep = 2000);
  trace(trace const&) = delete;
  trace& operator=(trace const&) = delete;

  observer& events() noexcept { return events_; }

  /// Adds a line of one's own.
  void note(time_point at, std::string_view what);

  std::deque<std::string> const& lines() const noexcept { return lines_; }
  std::string text() const;

 private:
  void add(std::string line);

  time_point start_;
  std::size_t keep_;
  std::size_t dropped_ = 0;
  std::deque<std::string> lines_;
  logging_observer events_;
};

}  // namespace millrace::sim
