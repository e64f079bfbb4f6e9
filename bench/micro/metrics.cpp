// SPDX-License-Identifier: Apache-2.0
// What watching a call costs.
#include "record.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/histogram.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

void histogram_record(benchmark::State& state) {
  histogram seen;
  rng random(1);
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) seen.record(std::chrono::nanoseconds(random.below(10'000'000)));
  benchmark::DoNotOptimize(seen);
}
BENCHMARK(histogram_record);

// the five events of a call that succeeds at once, with that many endpoints known
void counters_call(benchmark::State& state) {
  constexpr std::string_view method = "/millrace.echo.Echo/Say";
  std::vector<std::string> endpoints;
  for (std::int64_t i = 0; i < state.range(0); ++i) endpoints.push_back("10.0.0." + std::to_string(i) + ":50051");
  counters all;
  observer& told = all;
  auto const picked = [](std::string_view endpoint) {
    return events::picked{.at = {}, .endpoint = endpoint, .slot = 0, .in_flight = 1, .waited = {}};
  };
  for (auto const& endpoint : endpoints) told.on(picked(endpoint));
  std::size_t next = 0;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    std::string_view const endpoint = endpoints[next++ % endpoints.size()];
    told.on(events::call_started{.at = {}, .method = method});
    told.on(picked(endpoint));
    told.on(events::attempt_started{.at = {}, .method = method, .endpoint = endpoint, .slot = 0, .number = 1});
    told.on(events::attempt_finished{.at = {},
                                     .method = method,
                                     .endpoint = endpoint,
                                     .slot = 0,
                                     .number = 1,
                                     .code = status_code::ok,
                                     .message = {},
                                     .elapsed = 1ms,
                                     .never_left = false});
    told.on(events::call_finished{.at = {}, .method = method, .code = status_code::ok, .elapsed = 1ms, .attempts = 1});
  }
}
BENCHMARK(counters_call)->Arg(1)->Arg(16)->Arg(1000);

}  // namespace
