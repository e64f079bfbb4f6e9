// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/trace.hpp>

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace millrace::sim {

trace::trace(time_point start, std::size_t keep)
    : start_(start),
      keep_(keep),
      events_({.sink = [this](std::string_view line) { add(std::string(line)); },
               .verbosity = log_verbosity::everything,
               .start = start}) {}

void trace::note(time_point at, std::string_view what) {
  add(fmt::format("[{:7.3f}] -- {}", std::chrono::duration<double>(at - start_).count(), what));
}

void trace::add(std::string line) {
  lines_.push_back(std::move(line));
  if (lines_.size() <= keep_) return;
  lines_.pop_front();
  ++dropped_;
}

std::string trace::text() const {
  std::string all = dropped_ > 0 ? fmt::format("({} earlier lines)\n", dropped_) : std::string();
  for (std::string const& line : lines_) all.append(line).append("\n");
  return all;
}

}  // namespace millrace::sim
