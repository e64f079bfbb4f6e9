// SPDX-License-Identifier: Apache-2.0
// A call's way through its interceptors, by how many there are: on_start and on_done of each.
#include "record.hpp"

#include <millrace/base/metadata.hpp>
#include <millrace/intercept/call_context.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/chain_machine.hpp>
#include <millrace/intercept/static_chain.hpp>

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

namespace {

using namespace millrace;

class looker {
 public:
  hook_result on_start(call_context&) {
    ++seen_;
    return proceed;
  }
  hook_result on_done(call_context&, status const&) {
    ++seen_;
    return proceed;
  }

 private:
  std::uint64_t seen_ = 0;
};

class virtual_looker final : public interceptor {
 public:
  hook_set hooks() const noexcept override { return {hook::start, hook::done}; }
  hook_result on_start(call_context& call) override { return one_.on_start(call); }
  hook_result on_done(call_context& call, status const& outcome) override { return one_.on_done(call, outcome); }

 private:
  looker one_;
};

struct nobody final : hold_target {
  void resume(hook_result) noexcept override {}
};

void lead_calls(benchmark::State& state, chain_ref through) {
  metadata headers;
  nobody target;
  status const outcome{};
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    call_context context("/millrace.echo.Echo/Say", headers, target);
    chain_machine machine(through);
    benchmark::DoNotOptimize(machine.begin(hook::start, {.context = &context}));
    benchmark::DoNotOptimize(machine.begin(hook::done, {.context = &context, .outcome = &outcome}));
  }
}

void interceptors_run_time(benchmark::State& state) {
  chain made;
  for (std::int64_t i = 0; i < state.range(0); ++i) made.emplace<virtual_looker>();
  lead_calls(state, made);
}
BENCHMARK(interceptors_run_time)->Arg(0)->Arg(1)->Arg(4)->Arg(16);

template <std::size_t Count>
void interceptors_static(benchmark::State& state) {
  auto made =
      std::apply([](auto... each) { return static_chain<decltype(each)...>(each...); }, std::array<looker, Count>{});
  lead_calls(state, made);
}
BENCHMARK_TEMPLATE(interceptors_static, 0);
BENCHMARK_TEMPLATE(interceptors_static, 1);
BENCHMARK_TEMPLATE(interceptors_static, 4);
BENCHMARK_TEMPLATE(interceptors_static, 16);

// none: what a call's driver asks before it begins a stage
void interceptors_none(benchmark::State& state) {
  chain_ref none;
  micro::allocations_per_iteration const counted(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(none);
    benchmark::DoNotOptimize(none.wants(hook::start) || none.wants(hook::done));
  }
}
BENCHMARK(interceptors_none);

}  // namespace
