// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor.hpp>
#include <millrace/intercept/interceptor_chain.hpp>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace millrace {

/// Interceptors chosen at run time. The first one added is the outermost: it sees a call first and its end last. Complete it
/// before the first call; `static_chain` is the compile-time form.
class chain {
 public:
  /// Adds an interceptor; a `unique_ptr` will do. Shared, because one (a token's, say) may sit in several chains: the last
  /// chain lets go. Throws `std::invalid_argument` when null.
  void add(std::shared_ptr<interceptor> one);

  /// Makes one in place: `chain.emplace<logging_interceptor>()`.
  template <std::derived_from<interceptor> Interceptor, class... Args>
  Interceptor& emplace(Args&&... args) {
    auto one = std::make_shared<Interceptor>(std::forward<Args>(args)...);
    Interceptor& made = *one;
    add(std::move(one));
    return made;
  }

  std::size_t size() const noexcept { return members_.size(); }
  hook_set hooks() const noexcept { return hooks_; }

  /// See interceptor_chain.
  stage_outcome run(hook which, hook_arguments const& with, std::size_t from) noexcept;

 private:
  struct member {
    std::shared_ptr<interceptor> one;
    hook_set hooks;
  };

  template <hook Hook>
  stage_outcome run_stage(hook_arguments const& with, std::size_t from) noexcept;

  std::vector<member> members_;
  hook_set hooks_;
};

static_assert(interceptor_chain<chain>);

}  // namespace millrace
