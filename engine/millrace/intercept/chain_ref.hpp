// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor_chain.hpp>

#include <concepts>
#include <cstddef>

namespace millrace {

/// A reference to any interceptor_chain, which outlives it: three words, copied freely. Make it when the chain is complete;
/// it asks once which hooks there are. An empty one is a chain without interceptors.
class chain_ref {
 public:
  constexpr chain_ref() noexcept = default;

  template <interceptor_chain Chain>
  requires(!std::same_as<Chain, chain_ref>) chain_ref(Chain& chain)
  noexcept : object_(&chain), functions_(&functions_of<Chain>), hooks_(chain.hooks()) {}

  /// Whether any interceptor has this hook: one test, so that a stage nobody wants costs nothing more.
  bool wants(hook which) const noexcept { return hooks_.contains(which); }

  hook_set hooks() const noexcept { return hooks_; }
  std::size_t size() const noexcept { return functions_ == nullptr ? 0 : functions_->size(object_); }

  /// See interceptor_chain.
  stage_outcome run(hook which, hook_arguments const& with, std::size_t from) const noexcept {
    return functions_ == nullptr ? stage_outcome{} : functions_->run(object_, which, with, from);
  }

 private:
  struct functions {
    stage_outcome (*run)(void* chain, hook which, hook_arguments const& with, std::size_t from) noexcept;
    std::size_t (*size)(void const* chain) noexcept;
  };

  template <class Chain>
  static constexpr functions functions_of = {
      [](void* chain, hook which, hook_arguments const& with, std::size_t from) noexcept {
        return static_cast<Chain*>(chain)->run(which, with, from);
      },
      [](void const* chain) noexcept -> std::size_t { return static_cast<Chain const*>(chain)->size(); },
  };

  void* object_ = nullptr;
  functions const* functions_ = nullptr;
  hook_set hooks_;
};

static_assert(interceptor_chain<chain_ref>);
static_assert(sizeof(chain_ref) <= 3 * sizeof(void*));

}  // namespace millrace
