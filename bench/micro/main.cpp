// SPDX-License-Identifier: Apache-2.0
// bench-micro: what the engine's parts cost, each alone.
#include <support/machine.hpp>

#include <benchmark/benchmark.h>

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  // beside the table, and in what --benchmark_format=json writes
  benchmark::AddCustomContext("millrace", millrace::bench::to_text(millrace::bench::machine::here()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
