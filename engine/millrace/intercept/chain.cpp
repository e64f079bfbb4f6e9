// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/chain.hpp>

#include <millrace/intercept/impl/invoke_hook.hpp>

#include <stdexcept>

namespace millrace {
namespace {

hook_result invoke(interceptor& one, hook which, hook_arguments const& with) noexcept {
  switch (which) {
    case hook::start: return impl::invoke_hook<hook::start>(one, with);
    case hook::send_message: return impl::invoke_hook<hook::send_message>(one, with);
    case hook::initial_metadata: return impl::invoke_hook<hook::initial_metadata>(one, with);
    case hook::recv_message: return impl::invoke_hook<hook::recv_message>(one, with);
    case hook::done: return impl::invoke_hook<hook::done>(one, with);
  }
  return proceed;
}

}  // namespace

void chain::add(std::shared_ptr<interceptor> one) {
  if (one == nullptr) throw std::invalid_argument("chain::add: the interceptor is null; give it one, or do not add");
  hook_set const hooks = one->hooks();
  members_.push_back({std::move(one), hooks});
  hooks_ |= hooks;
}

stage_outcome chain::run(hook which, hook_arguments const& with, std::size_t from) noexcept {
  std::size_t const count = members_.size();
  bool const reverse = runs_in_reverse(which);
  for (std::size_t at = from; at < count; ++at) {
    member& next = members_[reverse ? count - 1 - at : at];
    if (!next.hooks.contains(which)) continue;
    hook_result result = invoke(*next.one, which, with);
    if (result.what() != hook_result::kind::proceed) return {std::move(result), at};
  }
  return {};
}

}  // namespace millrace
