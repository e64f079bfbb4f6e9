// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const bytes = std::malloc(size)) return bytes;
  throw std::bad_alloc{};
}

void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }

TEST_CASE("balance: neither a pick nor its outcome allocates", "[balance]") {
  millrace::balance::field some{0, 0, 0, 0, 1};
  for (auto name : millrace::balance::policy_names()) {
    auto picker = millrace::balance::make_picker(name, 1);
    picker.rebuild(some.all);
    std::size_t const before = allocations;
    for (std::uint32_t i = 0; i < 1000; ++i) {
      std::optional<std::uint64_t> const hash = i % 2 == 0 ? std::nullopt : std::optional<std::uint64_t>{i};
      auto const pick = picker.pick({.now = {}, .avoid_slot = i % 6, .avoid_endpoint = i % 3, .hash = hash});
      picker.on_done({.now = {}, .slot = some.all[*pick].slot, .code = millrace::status_code::ok, .latency = {}});
    }
    std::size_t const after = allocations;
    CHECK(after - before == 0);
  }
}
