// SPDX-License-Identifier: Apache-2.0
// bench-micro: what the engine's parts cost, each alone.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
