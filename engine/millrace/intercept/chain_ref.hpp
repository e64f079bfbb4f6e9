// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor_chain.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace millrace {

/// A reference to any interceptor_chain, which outlives it: three words, copied freely. Make it when the chain is complete;
/// it asks once how many interceptors there are and which hooks they have. An empty one is a chain without interceptors.
class chain_ref {
 public:
  constexpr chain_ref() noexcept = default;

  template <interceptor_chain Chain>
  requires(!std::same_as<Chain, chain_ref>) chain_ref(Chain& chain)
  noexcept
      : object_(&chain), run_(&run_of<Chain>), size_(static_cast<std::uint32_t>(chain.size())), hooks_(chain.hooks()) {}

  /// Whether any interceptor has this hook: one test, so that a stage nobody wants costs nothing more.
  bool wants(hook which) const noexcept { return hooks_.contains(which); }

  hook_set hooks() const noexcept { return hooks_; }
  std::size_t size() const noexcept { return size_; }

  /// See interceptor_chain.
  stage_outcome run(hook which, hook_arguments const& with, std::size_t from) const noexcept {
    return run_ == nullptr ? stage_outcome{} : run_(object_, which, with, from);
  }

 private:
  template <class Chain>
  static stage_outcome run_of(void* chain, hook which, hook_arguments const& with, std::size_t from) noexcept {
    return static_cast<Chain*>(chain)->run(which, with, from);
  }

  void* object_ = nullptr;
  stage_outcome (*run_)(void* chain, hook which, hook_arguments const& with, std::size_t from) noexcept = nullptr;
  std::uint32_t size_ = 0;
  hook_set hooks_;
};

static_assert(interceptor_chain<chain_ref>);
static_assert(sizeof(chain_ref) <= 3 * sizeof(void*));

}  // namespace millrace
