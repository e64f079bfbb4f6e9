// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/hook.hpp>
#include <millrace/intercept/hook_arguments.hpp>
#include <millrace/intercept/hook_result.hpp>

#include <concepts>
#include <cstddef>

namespace millrace {

/// How far a stage got: all the way (`proceed`), or to the interceptor at `at` that held or finished the call.
struct stage_outcome {
  hook_result result = proceed;
  std::size_t at = 0;  ///< A position in the stage's own order; meaningless when the stage passed.

  bool passed() const noexcept { return result.what() == hook_result::kind::proceed; }
};

/// Interceptors in a fixed order. `run` runs a stage from position `from` until one does not proceed; positions count in the
/// stage's order, so 0 is the last interceptor where runs_in_reverse says so. A `from` of `size()` or more passes.
template <class T>
concept interceptor_chain = requires(T& chain, T const& same, hook which, hook_arguments const& with,
                                     std::size_t from) {
  { chain.run(which, with, from) }
  noexcept->std::same_as<stage_outcome>;
  { same.size() }
  noexcept->std::convertible_to<std::size_t>;
  { same.hooks() }
  noexcept->std::same_as<hook_set>;
};

}  // namespace millrace
