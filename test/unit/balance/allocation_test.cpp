// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>

#include "support.hpp"

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

TEST_CASE("balance: neither a pick nor its outcome allocates", "[balance]") {
  bool const weighted = GENERATE(false, true);
  millrace::balance::field some{0, 0, 0, 0, 1};
  if (weighted) some.all[1].weight = 0.5;
  for (auto name : millrace::balance::policy_names()) {
    auto picker = millrace::balance::make_picker(name, 1);
    picker.rebuild(some.all);
    std::size_t const before = allocation_count();
    for (std::uint32_t i = 0; i < 1000; ++i) {
      std::optional<std::uint64_t> const hash = i % 2 == 0 ? std::nullopt : std::optional<std::uint64_t>{i};
      auto const pick = picker.pick({.now = {}, .avoid_slot = i % 6, .avoid_endpoint = i % 3, .hash = hash});
      picker.on_done({.now = {}, .slot = some.all[*pick].slot, .code = millrace::status_code::ok, .latency = {}});
    }
    std::size_t const after = allocation_count();
    CHECK(after - before == 0);
  }
}
