// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace millrace::sim {

/// The main of a suite of random schedules: `PROGRAM FIRST COUNT` runs those of the seeds FIRST to FIRST + COUNT - 1. The first that
/// throws is run again with its trace, and the command that replays it is printed. With MILLRACE_SEED only that one is run.
inline int run_schedules(int argc, char** argv, void (*run)(std::uint64_t seed, bool traced)) {
  if (char const* const one = std::getenv("MILLRACE_SEED")) {
    run(std::strtoull(one, nullptr, 10), true);
    return 0;
  }
  std::uint64_t const first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  std::uint64_t const count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1000;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    try {
      try {
        run(seed, false);
      } catch (std::exception const&) {
        run(seed, true);  // throws again, and the world's own complaints have the trace
        throw;
      }
    } catch (std::exception const& error) {
      auto const number = static_cast<unsigned long long>(seed);
      std::printf("schedule %llu: %s\nagain with: MILLRACE_SEED=%llu %s\n", number, error.what(), number, argv[0]);
      std::printf("%llu passed, 1 failed\n", static_cast<unsigned long long>(seed - first));
      return 1;
    }
  }
  // the form that the test runner's count understands
  std::printf("%llu passed, 0 failed\n", static_cast<unsigned long long>(count));
  return 0;
}

}  // namespace millrace::sim
